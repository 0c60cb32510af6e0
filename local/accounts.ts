import type { Principal, World } from './facade.ts';
import type { Bucket } from './facades/s3/model.ts';
import type { Roles } from './iam/authority.ts';
import type { Identity } from './identity.ts';
import type { Ledger } from './ledger.ts';

/** What the cloud of one account shows to those of others. */
export interface Account {
  readonly world: World;
  readonly identity: Identity;
  readonly roles: Roles;
  readonly ledger: Ledger;
  readonly bucketOf: (name: string) => Bucket | undefined;
}

/**
 * Clouds of several accounts that know of one another: given to each of them, which enters itself. Every cloud keeps
 * its own endpoint, which takes the credentials of the others' principals too; what these may do is decided by the
 * policies of both accounts. Names of buckets are looked up in all of them.
 */
export class Accounts extends Map<string, Account> {
  /** Of other accounts than this one. */
  others(account: string): Account[] {
    return [...this].filter(([id]) => id !== account).map(([, member]) => member);
  }
}

/** The account that a principal belongs to; an AWS service belongs to none. */
export const accountOf = ({ arn, service }: Principal): string | undefined =>
  service === undefined ? arn.split(':')[4] : undefined;

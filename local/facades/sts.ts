import { createHash } from 'node:crypto';
import { accountOf } from '../accounts.ts';
import type { Facade, Principal, World } from '../facade.ts';

/** AWS Security Token Service: who am I. */
export function createSts(world: World): Facade {
  return {
    service: 'sts',
    xmlNamespace: 'https://sts.amazonaws.com/doc/2011-06-15/',
    operations: {
      GetCallerIdentity: async (_input, context) => {
        // Nobody can be kept from asking: no permission is needed.
        await world.authorize({
          service: 'sts',
          region: context.region,
          principal: context.principal,
          operation: 'GetCallerIdentity',
          action: 'sts:GetCallerIdentity',
          resource: '*',
          needs: [],
          input: {},
        });
        const account = accountOf(context.principal) ?? world.account;
        return { UserId: userId(context.principal, account), Account: account, Arn: context.principal.arn };
      },
    },
  };
}

/** The account itself for the administrator, `AROA…:<session>` for a role, always the same for the same role. */
function userId(principal: Principal, account: string): string {
  if (principal.roleArn === undefined) return account;
  const digest = createHash('sha256').update(principal.roleArn).digest('hex').toUpperCase();
  return `AROA${digest.slice(0, 17)}:${principal.arn.split('/').at(-1)}`;
}

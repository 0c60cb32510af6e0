import { about, type Finding, identifier, shellWord } from './finding.ts';
import { imageExtensions } from './image-extensions.ts';

/** Checks of a server that is backed up. Pure: what was asked of it comes from lib/postgres/doctor-facts.ts. */

export interface ServerFacts {
  readonly versionNum: number;
  readonly role: string;
  readonly isReplication: boolean;
  /** Whether this very connection is encrypted, and how it was asked to be. */
  readonly tls: boolean;
  readonly sslmode: string;
  readonly loopback: boolean;
  /** Whether databases that are still to be made will be readable: pg_read_all_data, or a superuser. */
  readonly readsAll: boolean;
  /** Extensions that could be created. */
  readonly available: readonly string[];
}

export function judgeServer(
  database: string,
  secret: string,
  configured: number,
  restoreMajor: number,
  facts: ServerFacts,
): Finding[] {
  const { ok, warning, failed } = about(`server of ${database}`);
  const major = Math.floor(facts.versionNum / 10_000);
  const minor = facts.versionNum % 10_000;
  const role = identifier(facts.role);
  const found: Finding[] = [];
  found.push(
    major === configured
      ? ok('version', `PostgreSQL ${major}.${minor}, as configured`)
      : failed(
          'version',
          `PostgreSQL ${major}.${minor}, configured is ${configured}`,
          `Set version: ${major} of ${database} in pgdr.config.ts, then: npx cdk deploy --all`,
        ),
  );
  const verified = facts.sslmode.startsWith('verify');
  if (facts.tls && verified) found.push(ok('TLS', `encrypted, ${facts.sslmode}`));
  else if (facts.loopback) found.push(ok('TLS', `${facts.sslmode}, over this machine's own loopback`));
  else {
    found.push(
      warning(
        'TLS',
        facts.tls
          ? `encrypted, but with sslmode ${facts.sslmode} anybody can answer in the server's name`
          : `sslmode ${facts.sslmode}: password and rows cross the network in the clear`,
        `Put "sslmode":"verify-full" and the CA's certificate as "sslrootcert" into the secret: aws secretsmanager put-secret-value --secret-id ${shellWord(secret)} --secret-string file://secret.json`,
      ),
    );
  }
  found.push(
    facts.readsAll
      ? ok('tables to come', `${facts.role} reads every table that will be made`)
      : warning(
          'tables to come',
          `${facts.role} reads what it was granted: a new table fails the next backup`,
          major >= 14
            ? `GRANT pg_read_all_data TO ${role};`
            : `ALTER DEFAULT PRIVILEGES FOR ROLE "owner" GRANT SELECT ON TABLES TO ${role};   -- for each owner of tables`,
        ),
  );
  found.push(
    facts.available.includes('amcheck')
      ? ok('amcheck', 'the server has it')
      : warning(
          'amcheck',
          'the server has it not, so its own indexes cannot be checked in place; restore tests check theirs',
          `apt-get install postgresql-contrib-${major}   # or your system's package of contrib`,
        ),
  );
  if (restoreMajor < major)
    found.push(failed('restore tests', `run on PostgreSQL ${restoreMajor}, older than the server`));
  return found;
}

export interface ContentFacts {
  readonly name: string;
  readonly extensions: readonly { readonly name: string; readonly version: string }[];
  /** What the preflight of a backup said; undefined: it passes. */
  readonly refusal: { readonly error: string; readonly message: string } | undefined;
}

/** What a backup would meet in one database of the server. */
export function judgeContent(database: string, role: string, versionNum: number, content: ContentFacts): Finding[] {
  const { ok, warning, failed } = about(`server of ${database}`);
  const found: Finding[] = [];
  const check = `content of ${content.name}`;
  const { refusal } = content;
  if (!refusal) found.push(ok(check, `${role} may read all of it`));
  else
    found.push(failed(check, `${refusal.error}: ${refusal.message}`, ...grants(refusal, identifier(role), versionNum)));
  const foreign = content.extensions.filter(({ name }) => !imageExtensions.has(name));
  found.push(
    foreign.length === 0
      ? ok(`extensions of ${content.name}`, `${content.extensions.length}, all of them in the task image`)
      : warning(
          `extensions of ${content.name}`,
          `not in the task image as it is shipped: ${foreign.map(({ name, version }) => `${name} ${version}`).join(', ')}; restore tests end in ExtensionUnavailable`,
          ...foreign.map(
            ({ name }) =>
              `In tasks/Dockerfile, beside postgresql-\${PG_MAJOR}: the package of ${name}; find it with: apt-cache search ${shellWord(name)}`,
          ),
          'npx cdk deploy --all',
        ),
  );
  return found;
}

function grants({ error, message }: { error: string; message: string }, role: string, versionNum: number): string[] {
  if (error === 'BackupIncomplete' && message.startsWith('row-security')) return [`ALTER ROLE ${role} BYPASSRLS;`];
  if (error === 'BackupIncomplete' && message.startsWith('subscription')) {
    return ["logical: { allowSkipped: ['subscription'] } in pgdr.config.ts, or a role that is a superuser"];
  }
  if (error !== 'TableNotReadable') return ['npx pgdr doctor, when what the message says is mended'];
  const mend: string[] = [];
  if (/(table|sequence|schema) /.test(message)) {
    if (versionNum >= 140_000) mend.push(`GRANT pg_read_all_data TO ${role};`);
    else {
      mend.push(
        `GRANT USAGE ON SCHEMA "schema" TO ${role};   -- for each schema`,
        `GRANT SELECT ON ALL TABLES IN SCHEMA "schema" TO ${role};`,
        `GRANT SELECT ON ALL SEQUENCES IN SCHEMA "schema" TO ${role};`,
      );
    }
  }
  // pg_read_all_data does not reach large objects.
  if (message.includes('large object')) mend.push(`ALTER ROLE ${role} SET lo_compat_privileges = on;`);
  return mend;
}

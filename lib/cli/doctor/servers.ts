import type { DatabaseConfig } from '../../config/database-schema.ts';
import { about, type Finding } from '../../core/doctor/finding.ts';
import { judgeReplication, judgeStandby } from '../../core/doctor/replication.ts';
import { judgeContent, judgeServer } from '../../core/doctor/server.ts';
import { PgdrError } from '../../core/errors.ts';
import { listDatabases } from '../../postgres/catalog.ts';
import { type Connection, connect, parseConnection } from '../../postgres/connection.ts';
import { readContent, readReplication, readServer, readStandby } from '../../postgres/doctor-facts.ts';

/** The checks of one database's servers. `secrets` are texts by name: what is not among them was told of already. */
export async function examineServers(
  database: DatabaseConfig,
  secrets: ReadonlyMap<string, string>,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const connectionOf = (name: string): Connection | undefined => {
    const text = secrets.get(name);
    return text === undefined ? undefined : parseConnection(text, name);
  };
  const primary = connectionOf(database.primary.secret);
  const subject = `server of ${database.name}`;
  if (!primary) {
    findings.push(about(subject).failed('connection', 'not tried: its secret cannot be used', 'see its secret above'));
    return findings;
  }
  await reached(subject, findings, async () => {
    const client = await connect(primary, 'pgdr doctor');
    try {
      const facts = await readServer(client, primary);
      const restoreMajor = database.restoreTest.version ?? database.version;
      findings.push(about(subject).ok('connection', `${primary.username}@${primary.host}:${primary.port}`));
      findings.push(...judgeServer(database.name, database.primary.secret, database.version, restoreMajor, facts));
      for (const name of await databasesOf(database, primary, () => listDatabases(client))) {
        const { include = null, exclude, schemaOnly, allowSkipped } = database.logical;
        await reached(subject, findings, async () => {
          const content = await readContent(primary, name, { include, exclude, schemaOnly }, allowSkipped);
          findings.push(...judgeContent(database.name, facts.role, facts.versionNum, content));
        });
      }
    } finally {
      await client.end().catch(() => {});
    }
  });
  const { physical } = database;
  if (physical) {
    const connection = connectionOf(physical.secret ?? database.primary.secret);
    const slot = physical.slot ?? `pgdr_${database.name.replaceAll('-', '_')}`;
    if (connection) {
      await reached(`WAL of ${database.name}`, findings, async () => {
        const incremental = physical.base.fullEvery !== undefined;
        findings.push(...judgeReplication(database.name, slot, incremental, await readReplication(connection, slot)));
      });
    }
  }
  const standby = database.standby && connectionOf(database.standby.secret);
  if (standby) findings.push(...(await examineStandby(database.name, standby)));
  return findings;
}

/** The checks of a standby, by the connection of its own secret. */
export async function examineStandby(database: string, connection: Connection): Promise<Finding[]> {
  const findings: Finding[] = [];
  await reached(`standby of ${database}`, findings, async () => {
    const client = await connect(connection, 'pgdr doctor');
    try {
      const { role, ...facts } = await readStandby(client);
      findings.push(...judgeStandby(database, role, facts));
    } finally {
      await client.end().catch(() => {});
    }
  });
  return findings;
}

const databasesOf = async ({ logical }: DatabaseConfig, { dbname }: Connection, list: () => Promise<string[]>) => {
  if (logical.databases === undefined) return [dbname];
  return logical.databases === 'all' ? list() : logical.databases;
};

/** What cannot be reached is a finding, with who can mend it. */
async function reached(subject: string, findings: Finding[], work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const { failed } = about(subject);
    if (!(error instanceof PgdrError)) {
      findings.push(failed('connection', `ended: ${(error as Error).message}`, 'npx pgdr doctor   # again'));
    } else if (error.name === 'DatabaseAuthenticationFailed') {
      findings.push(
        failed(
          'connection',
          error.message,
          'Put the right password into the secret: aws secretsmanager put-secret-value …, or on the server: ALTER ROLE … PASSWORD …;',
        ),
      );
    } else {
      findings.push(
        failed(
          'connection',
          error.message,
          'Run doctor where the tasks run: a machine in a subnet of the tasks, with their security group',
          'Allow the tasks in: aws ec2 authorize-security-group-ingress --group-id <of the server> --protocol tcp --port <port> --source-group <of the tasks>',
        ),
      );
    }
  }
}

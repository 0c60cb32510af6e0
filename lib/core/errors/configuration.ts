import { entry, nothingStarted } from './entry.ts';

/** What the configuration, the settings that it deploys, or an input of an execution lacks. */
export const configurationErrors = {
  InputInvalid: entry(
    'configuration',
    'The input of the execution names no database.',
    nothingStarted,
    'Start it with {"database": "orders"}, with the name of the database as in pgdr.config.ts.',
  ),
  UnknownDatabase: entry(
    'configuration',
    'No settings are deployed for this database in this region.',
    nothingStarted,
    'Check the name against pgdr.config.ts and deploy the database stack, then start again.',
  ),
  PhysicalNotConfigured: entry(
    'configuration',
    'This database has no base backups and no WAL of its own: its configuration has no `physical`.',
    nothingStarted,
    'For a server that you run yourself, add physical: {} to the database in pgdr.config.ts and deploy. RDS and Aurora refuse replication connections: recover them with their own automated backups.',
  ),
  SettingsInvalid: entry(
    'configuration',
    'The deployed settings of this database cannot be read.',
    nothingStarted,
    'Deploy the database stack again with this version of pgdr.',
  ),
  SecretUnusable: entry(
    'configuration',
    'The secret that names the database connection is missing, unreadable or not in the expected shape.',
    nothingStarted,
    'Store {"host","port","username","password","dbname"} under the secret that pgdr.config.ts names.',
  ),
};

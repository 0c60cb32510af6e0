import { matching } from './fields.ts';

/** Names that occur in several places of the configuration. */

export const secretName = matching(
  /^(?!arn:)[A-Za-z0-9/_+=.@-]{1,200}$/,
  'the name of a Secrets Manager secret (letters, digits, /_+=.@-), not its ARN and never its value',
  'orders/primary',
);

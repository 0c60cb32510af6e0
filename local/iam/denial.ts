import { AwsError, type Permission, type Principal } from '../facade.ts';

interface Shape {
  readonly code: string;
  readonly status: number;
}

/** Where it differs from `AccessDeniedException`, 400, of the JSON services. */
const SHAPES: Readonly<Record<string, Shape>> = {
  dynamodb: { code: 'AccessDeniedException', status: 400 },
  ec2: { code: 'UnauthorizedOperation', status: 403 },
  iam: { code: 'AccessDenied', status: 403 },
  lambda: { code: 'AccessDeniedException', status: 403 },
  monitoring: { code: 'AccessDenied', status: 403 },
  route53: { code: 'AccessDenied', status: 403 },
  s3: { code: 'AccessDenied', status: 403 },
  scheduler: { code: 'AccessDeniedException', status: 403 },
  sns: { code: 'AuthorizationError', status: 403 },
  sqs: { code: 'AccessDenied', status: 403 },
  sts: { code: 'AccessDenied', status: 403 },
};

/** What services say when it is not their own action that is refused, but the use of a key behind it. */
const KEY_SHAPES: Readonly<Record<string, Shape>> = {
  sns: { code: 'KMSAccessDenied', status: 400 },
  sqs: { code: 'KmsAccessDenied', status: 400 },
};

/** The error by which a service tells its caller that a permission is missing. */
export function accessDenied(service: string, principal: Principal, permission: Permission, reason: string): AwsError {
  const { action, resource } = permission;
  const key = service !== 'kms' && action.startsWith('kms:') ? KEY_SHAPES[service] : undefined;
  const { code, status } = key ?? SHAPES[service] ?? { code: 'AccessDeniedException', status: 400 };
  // S3 alone puts its resources in quotes.
  const shown = service === 's3' && resource.startsWith('arn:aws:s3:') ? `"${resource}"` : resource;
  const message = `User: ${principal.arn} is not authorized to perform: ${action} on resource: ${shown} ${reason}`;
  return new AwsError(code, message, status);
}

/** The resource policies that AWS gives to what its template gives none. */

const document = (...Statement: object[]) => ({ Version: '2012-10-17', Statement });
const everybodyOf = (account: string) => ({ AWS: `arn:aws:iam::${account}:root` });

/** Of a KMS key: the account's own policies decide. */
export const keyPolicy = (account: string) =>
  document({ Effect: 'Allow', Principal: everybodyOf(account), Action: 'kms:*', Resource: '*' });

/** Of AWS's own keys (`alias/aws/<service>`): whoever may use the service may use its key through it. */
export const managedKeyPolicy = (account: string, region: string, service: string) =>
  document(
    {
      Effect: 'Allow',
      Principal: { AWS: '*' },
      Action: ['kms:Encrypt', 'kms:Decrypt', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:DescribeKey'],
      Resource: '*',
      Condition: {
        StringEquals: { 'kms:CallerAccount': account, 'kms:ViaService': `${service}.${region}.amazonaws.com` },
      },
    },
    {
      Effect: 'Allow',
      Principal: everybodyOf(account),
      Action: ['kms:Describe*', 'kms:Get*', 'kms:List*'],
      Resource: '*',
    },
  );

import { Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { keyStackName } from '../config/names.ts';
import { ClientKey } from '../constructs/client-key.ts';
import { type RegionProps, regionOf } from './platform-stack.ts';

/**
 * The key of client-side encryption, in a stack of its own: the one of the recovery region has to ask the primary
 * region for the key that it replicates, and no other stack shall ever have to.
 */
export class KeyStack extends Stack {
  constructor(scope: Construct, props: RegionProps) {
    const { config, role } = props;
    const region = regionOf(props);
    super(scope, keyStackName(config.name, region), {
      env: { region },
      description: `pgdr of ${config.name} in its ${role} region: the key that backups are encrypted with`,
    });
    new ClientKey(this, 'ClientKey', { system: config.name, role, primaryRegion: config.regions.primary });
  }
}

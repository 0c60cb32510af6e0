import { AwsError, type CallContext, type Operation, type ResourceMaker, type World } from '../facade.ts';
import { type Authorisation, page } from './api.ts';
import { onlyKnown, required } from './properties.ts';

interface Dashboard {
  readonly name: string;
  readonly arn: string;
  readonly body: string;
  readonly lastModified: Date;
}

const WIDGETS = ['alarm', 'custom', 'explorer', 'log', 'metric', 'text'];

/** Dashboards as templates make them: read back, never drawn. They belong to the account, whatever the region. */
export function createDashboards(
  world: World,
  authorize: (context: CallContext, call: Authorisation) => Promise<void>,
): { readonly operations: Readonly<Record<string, Operation>>; readonly make: ResourceMaker } {
  const dashboards = new Map<string, Dashboard>();
  const arnOf = (name: unknown): string => `arn:aws:cloudwatch::${world.account}:dashboard/${name}`;

  const operations: Readonly<Record<string, Operation>> = {
    GetDashboard: async (input, context) => {
      await authorize(context, { operation: 'GetDashboard', resource: arnOf(input.DashboardName), input });
      const found = dashboards.get(String(input.DashboardName));
      if (!found) throw new AwsError('ResourceNotFound', `Dashboard ${input.DashboardName} does not exist`, 404);
      return { DashboardArn: found.arn, DashboardBody: found.body, DashboardName: found.name };
    },

    ListDashboards: async (input, context) => {
      await authorize(context, { operation: 'ListDashboards', resource: '*', input });
      const own = [...dashboards.values()].filter(({ name }) => name.startsWith(input.DashboardNamePrefix ?? ''));
      const { items, next } = page(own, input.NextToken, 100);
      return {
        DashboardEntries: items.map(({ name, arn, body, lastModified }) => ({
          DashboardName: name,
          DashboardArn: arn,
          LastModified: lastModified,
          Size: Buffer.byteLength(body),
        })),
        NextToken: next,
      };
    },
  };

  const make: ResourceMaker = (properties, context) => {
    const type = 'AWS::CloudWatch::Dashboard';
    onlyKnown(type, context, properties, ['DashboardBody', 'DashboardName', 'Tags']);
    const body = String(required(type, context, properties, 'DashboardBody'));
    const name = String(properties.DashboardName ?? context.generatedName);
    const refuse = (what: string): never => {
      throw new Error(`${type} ${name}: ${what}`);
    };
    if (!/^[\w-]{1,255}$/.test(name)) refuse('a name has letters, digits, - and _ only');
    if (dashboards.has(name)) refuse('the account has one of this name, and regions share them');
    const { widgets } = JSON.parse(body);
    if (!Array.isArray(widgets)) return refuse('the body has no widgets');
    if (widgets.length > 500) refuse('more than 500 widgets');
    const strange = widgets.find((widget) => !WIDGETS.includes(widget?.type) || typeof widget.properties !== 'object');
    if (strange) refuse(`not a widget: ${JSON.stringify(strange).slice(0, 200)}`);
    dashboards.set(name, { name, arn: arnOf(name), body, lastModified: new Date(world.now()) });
    return { ref: name };
  };

  return { operations, make };
}

import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AwsError, type CallContext, type Facade, type Operation, type ResourceMaker, type World } from '../facade.ts';
import { authorizer, page } from '../runtime/api.ts';
import { embeddedMetrics, type MetricSample } from '../runtime/metric.ts';
import { onlyKnown } from '../runtime/properties.ts';

export interface LogLine {
  readonly region: string;
  readonly group: string;
  readonly stream: string;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly message: string;
}

export interface LogsFacade extends Facade {
  /** One line into a stream; group and stream are made when absent. `World.log` leads here. */
  write(region: string, group: string, stream: string, line: string): void;
  /** The lines still in memory, in the order of their coming. */
  lines(region: string, group: string, stream?: string): readonly LogLine[];
  /** Called for every line; returns the remover. */
  onLine(listener: (line: LogLine) => void): () => void;
}

export interface LogsOptions {
  /** Told of every metric that a line holds in embedded metric format. */
  readonly onMetric?: (sample: MetricSample) => void;
}

interface Event {
  readonly timestamp: number;
  readonly ingestionTime: number;
  readonly message: string;
}

interface Stream {
  readonly name: string;
  readonly creationTime: number;
  /** The latest lines; all of them are in the stream's file. */
  events: Event[];
  storedBytes: number;
  unwritten: string[];
}

interface Group {
  readonly name: string;
  readonly region: string;
  readonly creationTime: number;
  readonly retentionInDays?: number;
  readonly kmsKeyId?: string;
  readonly streams: Map<string, Stream>;
}

/** Lines kept in memory per stream. */
const KEPT_LINES = 10_000;
const FLUSH_MILLISECONDS = 200;

/**
 * CloudWatch Logs. Streams are kept as text files, `logs/<region>/<group>/<stream>.log` below the cloud's directory;
 * the API reads the tail in memory. Retention and filter patterns other than plain terms are not carried out.
 */
export function createLogs(world: World, options: LogsOptions = {}): LogsFacade {
  const groups = new Map<string, Group>();
  const listeners = new Set<(line: LogLine) => void>();
  const authorize = authorizer(world, 'logs');
  let flushing: NodeJS.Timeout | undefined;

  const arnOf = (region: string, name: string) => `arn:aws:logs:${region}:${world.account}:log-group:${name}`;
  const makeGroup = (region: string, name: string, rest: Partial<Group> = {}): Group => {
    const group: Group = { ...rest, name, region, creationTime: world.now(), streams: new Map() };
    groups.set(`${region} ${name}`, group);
    return group;
  };
  const makeStream = (group: Group, name: string): Stream => {
    const stream: Stream = { name, creationTime: world.now(), events: [], storedBytes: 0, unwritten: [] };
    group.streams.set(name, stream);
    return stream;
  };

  const flush = (): void => {
    flushing = undefined;
    for (const group of groups.values()) {
      for (const stream of group.streams.values()) {
        if (stream.unwritten.length === 0) continue;
        const file = join(
          world.directory,
          'logs',
          group.region,
          escapeName(group.name),
          `${escapeName(stream.name)}.log`,
        );
        mkdirSync(dirname(file), { recursive: true });
        appendFileSync(file, `${stream.unwritten.join('\n')}\n`);
        stream.unwritten = [];
      }
    }
  };

  const append = (group: Group, stream: Stream, message: string, timestamp: number): void => {
    stream.events.push({ timestamp, ingestionTime: world.now(), message });
    if (stream.events.length > 2 * KEPT_LINES) stream.events = stream.events.slice(-KEPT_LINES);
    stream.storedBytes += Buffer.byteLength(message) + 26;
    stream.unwritten.push(`${new Date(timestamp).toISOString()} ${message}`);
    flushing ??= setTimeout(flush, FLUSH_MILLISECONDS).unref();
    const line: LogLine = { region: group.region, group: group.name, stream: stream.name, timestamp, message };
    for (const listener of listeners) listener(line);
    for (const sample of embeddedMetrics(group.region, message, timestamp)) options.onMetric?.(sample);
  };

  const groupOf = (input: any, context: CallContext): Group => {
    const group = groups.get(`${context.region} ${groupName(input)}`);
    if (!group) throw new AwsError('ResourceNotFoundException', 'The specified log group does not exist.');
    return group;
  };
  const streamOf = (group: Group, name: string): Stream => {
    const stream = group.streams.get(name);
    if (!stream) throw new AwsError('ResourceNotFoundException', 'The specified log stream does not exist.');
    return stream;
  };
  const allow = (context: CallContext, operation: string, input: any, stream?: string) => {
    const group = arnOf(context.region, groupName(input));
    const resource = stream === undefined ? `${group}:*` : `${group}:log-stream:${stream}`;
    return authorize(context, { operation, resource, input });
  };

  const operations: Readonly<Record<string, Operation>> = {
    CreateLogGroup: async (input, context) => {
      await allow(context, 'CreateLogGroup', input);
      if (groups.has(`${context.region} ${input.logGroupName}`)) {
        throw new AwsError('ResourceAlreadyExistsException', 'The specified log group already exists');
      }
      makeGroup(context.region, input.logGroupName, { kmsKeyId: input.kmsKeyId });
    },

    CreateLogStream: async (input, context) => {
      await allow(context, 'CreateLogStream', input, input.logStreamName);
      const group = groupOf(input, context);
      if (group.streams.has(input.logStreamName)) {
        throw new AwsError('ResourceAlreadyExistsException', 'The specified log stream already exists');
      }
      makeStream(group, input.logStreamName);
    },

    PutLogEvents: async (input, context) => {
      await allow(context, 'PutLogEvents', input, input.logStreamName);
      const group = groupOf(input, context);
      const stream = streamOf(group, input.logStreamName);
      for (const event of input.logEvents ?? []) append(group, stream, String(event.message), Number(event.timestamp));
      return { nextSequenceToken: '1' };
    },

    DescribeLogGroups: async (input, context) => {
      await authorize(context, { operation: 'DescribeLogGroups', resource: arnOf(context.region, '*'), input });
      const found = [...groups.values()]
        .filter(({ region, name }) => region === context.region && name.startsWith(input.logGroupNamePrefix ?? ''))
        .filter(({ name }) => name.includes(input.logGroupNamePattern ?? ''))
        .toSorted((a, b) => a.name.localeCompare(b.name));
      const { items, next } = page(found, input.nextToken, input.limit ?? 50);
      return {
        logGroups: items.map((group) => ({
          logGroupName: group.name,
          arn: `${arnOf(group.region, group.name)}:*`,
          logGroupArn: arnOf(group.region, group.name),
          creationTime: group.creationTime,
          retentionInDays: group.retentionInDays,
          kmsKeyId: group.kmsKeyId,
          metricFilterCount: 0,
          logGroupClass: 'STANDARD',
          storedBytes: [...group.streams.values()].reduce((sum, { storedBytes }) => sum + storedBytes, 0),
        })),
        nextToken: next,
      };
    },

    DescribeLogStreams: async (input, context) => {
      await allow(context, 'DescribeLogStreams', input);
      const group = groupOf(input, context);
      const byTime = input.orderBy === 'LastEventTime';
      const found = [...group.streams.values()]
        .filter(({ name }) => name.startsWith(input.logStreamNamePrefix ?? ''))
        .toSorted((a, b) => (byTime ? lastTime(a) - lastTime(b) : a.name.localeCompare(b.name)));
      if (input.descending) found.reverse();
      const { items, next } = page(found, input.nextToken, input.limit ?? 50);
      return {
        logStreams: items.map((stream) => ({
          logStreamName: stream.name,
          arn: `${arnOf(group.region, group.name)}:log-stream:${stream.name}`,
          creationTime: stream.creationTime,
          firstEventTimestamp: stream.events[0]?.timestamp,
          lastEventTimestamp: stream.events.at(-1)?.timestamp,
          lastIngestionTime: stream.events.at(-1)?.ingestionTime,
          storedBytes: 0,
        })),
        nextToken: next,
      };
    },

    GetLogEvents: async (input, context) => {
      await allow(context, 'GetLogEvents', input, input.logStreamName);
      const { events } = streamOf(groupOf(input, context), input.logStreamName);
      const found = between(events, input);
      const limit = input.limit ?? 10_000;
      // Tokens are `f/<index>`, the index of the next event forward, and `b/<index>`, that of the first one given.
      const [direction, index] = String(input.nextToken ?? (input.startFromHead ? 'f/0' : `b/${found.length}`)).split(
        '/',
      );
      const at = Number(index);
      const [start, end] = direction === 'f' ? [at, Math.min(at + limit, found.length)] : [Math.max(at - limit, 0), at];
      return { events: found.slice(start, end), nextForwardToken: `f/${end}`, nextBackwardToken: `b/${start}` };
    },

    FilterLogEvents: async (input, context) => {
      await allow(context, 'FilterLogEvents', input);
      const matches = termFilter(input.filterPattern);
      const found = [...groupOf(input, context).streams.values()]
        .filter(({ name }) => !input.logStreamNames || input.logStreamNames.includes(name))
        .filter(({ name }) => name.startsWith(input.logStreamNamePrefix ?? ''))
        .flatMap(({ name, events }) =>
          between(events, input)
            .filter(({ message }) => matches(message))
            .map((event, index) => ({ ...event, logStreamName: name, eventId: `${event.timestamp}${index}` })),
        )
        .toSorted((a, b) => a.timestamp - b.timestamp);
      const { items, next } = page(found, input.nextToken, input.limit ?? 10_000);
      return { events: items, searchedLogStreams: [], nextToken: next };
    },
  };

  const resources: Readonly<Record<string, ResourceMaker>> = {
    'AWS::Logs::LogGroup': (properties, context) => {
      const type = 'AWS::Logs::LogGroup';
      onlyKnown(type, context, properties, [
        'DeletionProtectionEnabled',
        'KmsKeyId',
        'LogGroupClass',
        'LogGroupName',
        'RetentionInDays',
        'Tags',
      ]);
      const name = properties.LogGroupName ?? context.generatedName;
      if (groups.has(`${context.region} ${name}`))
        throw new Error(`${type} ${name} exists already in ${context.region}`);
      const retentionInDays = properties.RetentionInDays && Number(properties.RetentionInDays);
      makeGroup(context.region, name, { retentionInDays, kmsKeyId: properties.KmsKeyId });
      return { ref: name, attributes: { Arn: `${arnOf(context.region, name)}:*` } };
    },
  };

  return {
    service: 'logs',
    operations,
    resources,
    write: (region, name, streamName, line) => {
      const group = groups.get(`${region} ${name}`) ?? makeGroup(region, name);
      append(group, group.streams.get(streamName) ?? makeStream(group, streamName), line, world.now());
    },
    lines: (region, name, only) =>
      [...(groups.get(`${region} ${name}`)?.streams.values() ?? [])]
        .filter((stream) => only === undefined || stream.name === only)
        .flatMap((stream) =>
          stream.events.map(({ timestamp, message }) => ({
            region,
            group: name,
            stream: stream.name,
            timestamp,
            message,
          })),
        )
        .toSorted((a, b) => a.timestamp - b.timestamp),
    onLine: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: async () => {
      clearTimeout(flushing);
      flush();
    },
  };
}

/** A group's name, from its name or from its ARN. */
const groupName = (input: any): string =>
  String(input.logGroupName ?? input.logGroupIdentifier ?? '').replace(/^arn:.*:log-group:([^:]+).*$/, '$1');

/** Names hold slashes; each stays one file name. */
const escapeName = (name: string): string =>
  name
    .replace(/^\/+/, '')
    .replaceAll('/', '__')
    .replace(/[^\w.$[\]#-]/g, '_');

const lastTime = (stream: Stream): number => stream.events.at(-1)?.timestamp ?? 0;

const between = (events: readonly Event[], input: any): Event[] =>
  events.filter(
    ({ timestamp }) => timestamp >= (input.startTime ?? 0) && timestamp < (input.endTime ?? Number.POSITIVE_INFINITY),
  );

/** Patterns of plain or quoted terms, all of which must occur; JSON and regular expression patterns are refused. */
function termFilter(pattern: string | undefined): (message: string) => boolean {
  const text = pattern?.trim() ?? '';
  if (/^[{[%]|(^|\s)[-?]/.test(text)) {
    throw new AwsError(
      'InvalidParameterException',
      `The local cloud knows filter patterns of plain terms only, not ${text}`,
    );
  }
  const terms = [...text.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(
    (match) => match[1]?.replace(/\\(.)/g, '$1') ?? match[2] ?? '',
  );
  return (message) => terms.every((term) => message.includes(term));
}

import type { ConfiguredSetting, Grant, Role, SequenceState, TableFingerprint } from './manifest.ts';

/** What a restored database shows otherwise than its source, each difference as a phrase that names it. */

export function ofTables(
  expected: readonly TableFingerprint[],
  restored: readonly TableFingerprint[],
  all: readonly TableFingerprint[] = expected,
): string[] {
  const found = new Map(restored.map((table) => [table.relation, table]));
  const known = new Set(all.map((table) => table.relation));
  return [
    ...expected.flatMap((table) => {
      const now = found.get(table.relation);
      if (!now) return [`${table.relation} is missing`];
      return now.columns === table.columns ? [] : [`${table.relation} has other columns`];
    }),
    ...restored.filter((t) => !known.has(t.relation)).map((t) => `${t.relation} was not in the source`),
  ];
}

/** Sequences advance outside of snapshots, so the restored value may be ahead of the recorded one, never behind. */
export function ofSequences(expected: readonly SequenceState[], restored: readonly SequenceState[]): string[] {
  const found = new Map(restored.map((s) => [s.sequence, s]));
  return expected.flatMap((before) => {
    const now = found.get(before.sequence);
    if (!now) return [`${before.sequence} is missing`];
    const [was, is] = [BigInt(before.lastValue), BigInt(now.lastValue)];
    const wentBack = before.direction === 'up' ? is < was : before.direction === 'down' ? is > was : false;
    const lostCall = is === was && before.isCalled && !now.isCalled;
    return wentBack || lostCall ? [`${before.sequence} is at ${is}, behind ${was}`] : [];
  });
}

interface Extension {
  readonly name: string;
  readonly version: string;
}

/** A dump names no version, so a restore makes the server's default: a newer one is told, an older one is a loss. */
export function ofExtensions(
  expected: readonly Extension[],
  restored: readonly Extension[],
): { problems: string[]; newer: string[] } {
  const problems: string[] = [];
  const newer: string[] = [];
  for (const { name, version } of expected) {
    const now = restored.find((e) => e.name === name);
    if (!now) problems.push(`${name} is missing`);
    else if (isLower(now.version, version)) problems.push(`${name} is ${now.version}, older than ${version}`);
    else if (now.version !== version) newer.push(`${name} is ${now.version}, ${version} in the source`);
  }
  return { problems, newer };
}

/** `1.9` is lower than `1.10`; parts that are no numbers compare as words, so any order is at least the same always. */
export function isLower(a: string, b: string): boolean {
  const [left, right] = [a, b].map((version) => version.split(/[.\-_+]/)) as [string[], string[]];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const [x, y] = [left[i] ?? '', right[i] ?? ''];
    if (x === y) continue;
    const [m, n] = [Number(x), Number(y)];
    return Number.isNaN(m) || Number.isNaN(n) ? x < y : m < n;
  }
  return false;
}

/** Roles that only the restoring server has, its own superuser say, are none of the proof's business. */
export function ofRoles(expected: readonly Role[], restored: readonly Role[]): string[] {
  const found = new Map(restored.map((role) => [role.name, role]));
  return expected.flatMap((role) => {
    const now = found.get(role.name);
    if (!now) return [`${role.name} is missing`];
    return [
      ...changes(
        role.attributes,
        now.attributes,
        (what, has) => `${role.name} ${has ? 'has gained' : 'has lost'} ${what}`,
      ),
      ...changes(role.memberOf, now.memberOf, (what, has) => `${role.name} is ${has ? 'now' : 'no longer'} in ${what}`),
    ];
  });
}

/**
 * Privileges that are missing, and, with `exact`, those that nobody gave in the source. A newer major may turn a GRANT
 * ALL into more than the old one had.
 */
export function ofGrants(expected: readonly Grant[], restored: readonly Grant[], exact: boolean): string[] {
  const before = new Map(expected.map((grant) => [grant.object, grant.privileges]));
  const now = new Map(restored.map((grant) => [grant.object, grant.privileges]));
  return [...new Set([...before.keys(), ...now.keys()])].flatMap((object) =>
    changes(before.get(object) ?? [], now.get(object) ?? [], (privilege, has) =>
      has
        ? exact
          ? `${privilege} on ${object} was not in the source`
          : undefined
        : !exact && object === 'schema public' && privilege === 'no CREATE to PUBLIC'
          ? undefined // What had to be revoked until PostgreSQL 14 is not given to begin with since 15.
          : `${privilege} on ${object} is missing`,
    ),
  );
}

/** Names a setting, never its value: those can hold what a report must not. */
export function ofSettings(expected: readonly ConfiguredSetting[], restored: readonly ConfiguredSetting[]): string[] {
  return expected.flatMap(({ scope, name, value }) => {
    const now = restored.find((setting) => setting.scope === scope && setting.name === name);
    if (!now) return [`${name} of ${scope} is missing`];
    return now.value === value ? [] : [`${name} of ${scope} has another value`];
  });
}

export function ofCounts(
  expected: Readonly<Record<string, number>>,
  restored: Readonly<Record<string, number>>,
  label: (key: string) => string,
): string[] {
  return Object.entries(expected).flatMap(([key, count]) =>
    restored[key] === count ? [] : [`${label(key)}: ${restored[key] ?? 0}, not ${count}`],
  );
}

function changes(
  before: readonly string[],
  now: readonly string[],
  tell: (what: string, has: boolean) => string | undefined,
): string[] {
  return [
    ...before.filter((what) => !now.includes(what)).map((what) => tell(what, false)),
    ...now.filter((what) => !before.includes(what)).map((what) => tell(what, true)),
  ].filter((text) => text !== undefined);
}

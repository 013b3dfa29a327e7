import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { CredentialKind, PrincipalSchema } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { quotaConfigSchema, tierNames } from './config.ts';
import { COUNTED_UNITS, PERIODS } from './limit-definition.ts';
import { createLimits } from './limits.ts';
import { namedSubjects } from './named-subjects.ts';
import type { Asker } from './subjects.ts';

type Who = Partial<Omit<Asker, 'principal'>> & {
  principal?: Omit<MessageInitShape<typeof PrincipalSchema>, '$typeName'>;
};

function asker({ principal, ...rest }: Who): Asker {
  return {
    principal: create(PrincipalSchema, { keyId: 'k', tier: 'standard', ...principal }),
    ...{ clientIp: '', model: '', modelNames: [], engine: '' },
    ...rest,
  };
}

/** Ids and maxima of the limits that apply, without those of organisations, which everybody has. */
function limitsOf(who: Who, section: object = {}): string[] {
  const limits = createLimits(quotaConfigSchema.parse({ organization_defaults: {}, ...section }));
  return limits.of(asker(who)).map(({ limit }) => `${limit.id} ${limit.maximum}`);
}

const ofTier = (tier: string, section: object = {}) => limitsOf({ principal: { tier } }, section);

test('the built-in tiers', () => {
  expect(ofTier('premium')).toEqual(['tier:premium:requests:minute 100', 'tier:premium:requests:hour 1000']);
  expect(ofTier('standard')).toEqual(['tier:standard:requests:minute 30', 'tier:standard:requests:hour 300']);
  expect(ofTier('free')).toEqual(['tier:free:requests:minute 10', 'tier:free:requests:hour 100']);
  expect(ofTier('queue')).toEqual(['tier:queue:requests:bucket 60']);
  expect(ofTier('unlimited')).toEqual([]);
});

test('what everybody has: budgets of the organisation, 50 requests a second from one address', () => {
  const limits = createLimits(quotaConfigSchema.parse({}));
  const who = asker({ principal: { tier: 'queue', organizationId: 'acme' }, clientIp: '203.0.113.9' });
  expect(limits.of(who).map(({ limit, counter }) => [limit.id, limit.maximum, counter])).toEqual([
    ['tier:queue:requests:bucket', 60n, 'key:k/tier:requests:bucket'],
    ['organization:requests:day', 100_000n, 'acme/organization:requests:day'],
    ['organization:tokens:day', 10_000_000n, 'acme/organization:tokens:day'],
    ['organization:tokens:month', 300_000_000n, 'acme/organization:tokens:month'],
    ['client_ip:requests:second', 50n, '203.0.113.9/client_ip:requests:second'],
  ]);
});

test('a configured tier is added, or replaces a built-in one whole', () => {
  const section = { tiers: { gold: { requests_per_hour: 7 }, free: { requests_per_minute: 1 } } };
  expect(ofTier('gold', section)).toEqual(['tier:gold:requests:hour 7']);
  expect(ofTier('free', section)).toEqual(['tier:free:requests:minute 1']);
  expect(tierNames(quotaConfigSchema.parse(section))).toContain('gold');
  expect(tierNames(quotaConfigSchema.parse({}))).not.toContain('gold');
});

test('a tier that nobody configured is not unlimited', () => {
  expect(() => ofTier('gold')).toThrow(/'gold'/);
  expect(() => ofTier('')).toThrow(/no limits/);
  expect(() => ofTier('constructor')).toThrow(/no limits/);
});

test('who moves between tiers keeps what was consumed', () => {
  const limits = createLimits(quotaConfigSchema.parse({}));
  const minute = (tier: string) => limits.of(asker({ principal: { tier } }))[0]?.counter;
  expect(minute('free')).toBe(minute('premium'));
});

test('tokens count under their user, keys by themselves; limits of keys are for keys alone', () => {
  const limits = createLimits(quotaConfigSchema.parse({ keys: { key1: { requests_per_day: 1 } } }));
  const counters = (kind: 1 | 2, keyId: string) =>
    limits
      .of(asker({ principal: { tier: 'free', kind, keyId, userId: 'ann' } }))
      .map(({ counter }) => counter)
      .slice(0, 3);
  expect(counters(2, 'token1')).toEqual(counters(2, 'token2'));
  expect(counters(1, 'key1')).not.toEqual(counters(1, 'key2'));
  expect(counters(1, 'key1')).toContain('key1/key:requests:day');
  expect(counters(2, 'key1')).not.toContain('key1/key:requests:day');
});

test('every unit over every time, buckets and what runs at once, in the order in which refusals name them', () => {
  const periods = COUNTED_UNITS.flatMap((unit) => PERIODS.map((period, i) => [`${unit}_per_${period}`, i + 1]));
  const buckets = COUNTED_UNITS.map((unit) => [`${unit}_bucket`, { per_minute: 60, burst: 5 }]);
  const concurrent = { concurrent_requests: 3, concurrent_context_tokens: 9 };
  const all = { ...Object.fromEntries([...periods.toReversed(), ...buckets]), ...concurrent };
  const ids = ofTier('all', { tiers: { all } });
  expect(ids).toEqual([
    ...COUNTED_UNITS.flatMap((unit) => [
      ...PERIODS.map((period, i) => `tier:all:${unit}:${period} ${i + 1}`),
      `tier:all:${unit}:bucket 60`,
    ]),
    'tier:all:concurrent_requests 3',
    'tier:all:concurrent_context_tokens 9',
  ]);
});

test('scopes are named in one order: tier, key, user, organisation, model, engine, address', () => {
  const one = { requests_per_day: 5 };
  const section = {
    ...{ tiers: { t: one }, keys: { k: one }, users: { ann: one }, organizations: { acme: one } },
    ...{ models: { chat: one }, engines: { e: one }, per_ip: one },
  };
  const who = {
    principal: { tier: 't', userId: 'ann', organizationId: 'acme', kind: CredentialKind.API_KEY },
    ...{ clientIp: '2001:db8:0:7::1', model: 'some/model', modelNames: ['chat', 'alias'], engine: 'e' },
  };
  expect(limitsOf(who, section)).toEqual([
    'tier:t:requests:day 5',
    'key:k:requests:day 5',
    'user:ann:requests:day 5',
    'organization:acme:requests:day 5',
    'model:chat:requests:day 5',
    'engine:e:requests:day 5',
    'client_ip:requests:day 5',
  ]);
});

test('a model counts under its id by whichever name it was limited; IPv6 by its /64; loopback not at all', () => {
  const limits = createLimits(quotaConfigSchema.parse({ models: { chat: { requests_per_day: 5 } } }));
  const counters = (more: Partial<Asker>) =>
    limits.of(asker({ principal: { tier: 'unlimited' }, ...more })).map(({ counter }) => counter);
  expect(counters({ model: 'some/model', modelNames: ['chat'] })).toEqual(['some/model/model:requests:day']);
  expect(counters({ model: 'other', modelNames: ['a', 'b'] })).toEqual([]);
  const address = (clientIp: string) =>
    limits
      .of(asker({ clientIp }))
      .map(({ counter }) => counter)
      .filter((counter) => counter.includes('/client_ip:'));
  expect(address('2001:db8:0:7::1')).toEqual(address('2001:0db8::7:ffff:1:2:3'));
  expect(address('2001:db8:0:7::1')).not.toEqual(address('2001:db8:0:8::1'));
  expect(address('::ffff:1')).toEqual(['0:0:0:0::/64/client_ip:requests:second']);
  for (const none of ['127.0.0.1', '127.9.9.9', '::1', '', 'unix']) expect(address(none)).toEqual([]);
});

test('"unlimited" is free of defaults, not of limits that name it, nor of those that protect an engine', () => {
  const section = {
    ...{ organization_defaults: { requests_per_day: 1 }, user_defaults: { requests_per_day: 2 } },
    ...{ organizations: { acme: { requests_per_day: 3 } }, engine_defaults: { concurrent_requests: 4 } },
  };
  const who = (organizationId: string) => ({
    principal: { tier: 'unlimited', userId: 'ann', organizationId },
    ...{ clientIp: '203.0.113.9', engine: 'e' },
  });
  expect(limitsOf(who('default'), section)).toEqual(['engine:concurrent_requests 4']);
  expect(limitsOf(who('acme'), section)).toEqual(['organization:acme:requests:day 3', 'engine:concurrent_requests 4']);
});

test('subjects that the configuration names, with their fields', () => {
  const one = { requests_per_day: 5 };
  const config = quotaConfigSchema.parse({ users: { ann: one }, engines: { e: one } });
  expect(namedSubjects(config)).toEqual([
    { scope: 'user', subject: 'ann', path: ['quota', 'users', 'ann'] },
    { scope: 'engine', subject: 'e', path: ['quota', 'engines', 'e'] },
  ]);
});

test.each([
  ['a tier without limits', { tiers: { gold: {} } }, /at least one limit/],
  [
    'a minute limit that the hour limit hides',
    { tiers: { g: { requests_per_minute: 9, requests_per_hour: 8 } } },
    /requests_per_minute.*never reached.*requests_per_hour/s,
  ],
  ['a day that a month hides', { organization_defaults: { tokens_per_day: 9, tokens_per_month: 8 } }, /never reached/],
  ['limits on "unlimited"', { tiers: { unlimited: { requests_per_minute: 1 } } }, /unlimited/],
  ['less than nothing', { tiers: { g: { requests_per_minute: -1 } } }, />=0/],
  ['more than can be counted', { tiers: { g: { tokens_per_minute: 2 ** 32 } } }, /<=4294967295/],
  ['a bucket that nothing fits into', { tiers: { g: { tokens_bucket: { per_minute: 5, burst: 0 } } } }, />=1/],
  ['an unknown field', { tiers: { g: { request_per_day: 5 } } }, /request_per_day/],
  ['a window for what runs at once', { per_ip: { concurrent_requests_per_day: 5 } }, /concurrent_requests_per_day/],
  ['a user without limits', { users: { ann: {} } }, /at least one limit/],
  ['no window', { reserve_window_tokens: 0 }, />=1/],
])('%s is refused', (_what, section, message) => {
  expect(() => quotaConfigSchema.parse(section)).toThrow(message);
});

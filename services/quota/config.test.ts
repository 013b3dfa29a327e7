import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { PrincipalSchema } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { quotaConfigSchema, tierNames } from './config.ts';
import { createLimits } from './limits.ts';

function limitsOf(tier: string, section: unknown = {}): string[] {
  const limits = createLimits(quotaConfigSchema.parse(section));
  return limits.of(create(PrincipalSchema, { keyId: 'k', tier })).map(({ limit }) => `${limit.id} ${limit.maximum}`);
}

test('the built-in tiers', () => {
  expect(limitsOf('premium')).toEqual(['tier:premium:requests:minute 100', 'tier:premium:requests:hour 1000']);
  expect(limitsOf('standard')).toEqual(['tier:standard:requests:minute 30', 'tier:standard:requests:hour 300']);
  expect(limitsOf('free')).toEqual(['tier:free:requests:minute 10', 'tier:free:requests:hour 100']);
  expect(limitsOf('queue')).toEqual(['tier:queue:requests:bucket 60']);
  expect(limitsOf('unlimited')).toEqual([]);
});

test('a configured tier is added, or replaces a built-in one whole', () => {
  const section = { tiers: { gold: { requests_per_hour: 7 }, free: { requests_per_minute: 1 } } };
  expect(limitsOf('gold', section)).toEqual(['tier:gold:requests:hour 7']);
  expect(limitsOf('free', section)).toEqual(['tier:free:requests:minute 1']);
  expect(tierNames(quotaConfigSchema.parse(section))).toContain('gold');
  expect(tierNames(quotaConfigSchema.parse({}))).not.toContain('gold');
});

test('a tier that nobody configured is not unlimited', () => {
  expect(() => limitsOf('gold')).toThrow(/'gold'/);
  expect(() => limitsOf('')).toThrow(/no limits/);
  expect(() => limitsOf('constructor')).toThrow(/no limits/);
});

test('tokens count under their user, keys by themselves', () => {
  const limits = createLimits(quotaConfigSchema.parse({}));
  const counters = (kind: 1 | 2, keyId: string) =>
    limits.of(create(PrincipalSchema, { tier: 'free', kind, keyId, userId: 'ann' })).map(({ counter }) => counter);
  expect(counters(2, 'token1')).toEqual(counters(2, 'token2'));
  expect(counters(1, 'key1')).not.toEqual(counters(1, 'key2'));
});

test.each([
  ['a tier without limits', { tiers: { gold: {} } }, /at least one limit/],
  [
    'a minute limit that the hour limit hides',
    { tiers: { g: { requests_per_minute: 9, requests_per_hour: 8 } } },
    /never reached/,
  ],
  ['limits on "unlimited"', { tiers: { unlimited: { requests_per_minute: 1 } } }, /unlimited/],
  ['zero', { tiers: { g: { requests_per_minute: 0 } } }, />=1/],
  ['an unknown field', { tiers: { g: { requests_per_day: 5 } } }, /requests_per_day/],
  ['budgets of organisations', { organization_defaults: { tokens_per_day: 1 } }, /not implemented/],
  ['limits per address', { per_ip: { requests_per_second: 1 } }, /not implemented/],
])('%s is refused', (_what, section, message) => {
  expect(() => quotaConfigSchema.parse(section)).toThrow(message);
});

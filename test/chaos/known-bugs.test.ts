import { describe, expect, test } from 'vitest';
import { hasRedis } from '../harness/redis.ts';
import { check } from './checker.ts';
import { KNOWN_BUGS } from './known-bugs.ts';
import { type Build, runMiniature } from './miniature.ts';

/** The rules that a miniature breaks. */
async function brokenBy(build?: Build): Promise<string[]> {
  const { violations } = check(await runMiniature(build));
  return [...new Set(violations.map((text) => text.replace(/:.*/s, '')))];
}

describe.runIf(hasRedis())('many routers on one Redis that loses replies', () => {
  test('nothing is wrong with the real store', async () => {
    const history = await runMiniature();
    const { violations, fullness, leases } = check(history);
    expect(violations).toEqual([]);
    expect(leases.settled).toBeGreaterThan(30);
    expect(fullness.some(({ most, maximum }) => most === maximum)).toBe(true);
    expect(history.clients.some(({ outcome }) => outcome === 'refused')).toBe(true);
  });

  test('a refund in the finally of a generator is found', async () => {
    expect(await brokenBy(KNOWN_BUGS.refundInFinally)).toEqual(['exact']);
  });

  test('a check and then a charge is found', async () => {
    expect(await brokenBy(KNOWN_BUGS.checkThenCharge)).toContain('over');
  });

  test('an increment that is sent again is found', async () => {
    expect(await brokenBy(KNOWN_BUGS.incrementResent)).toEqual(expect.arrayContaining(['life', 'drift', 'rest']));
  });
});

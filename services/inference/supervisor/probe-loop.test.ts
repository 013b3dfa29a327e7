import { expect, test } from 'vitest';
import { type ProbeLimits, pauseAfter, probeLoop } from './probe-loop.ts';
import { SUPERVISOR_LIMITS } from './supervisor-limits.ts';

/** Longer than a test lasts. */
const NEVER_MS = 600_000;
const PATIENCE = { timeout: 60_000 };

const refuse = () => Promise.reject(new Error('refused'));
const hang = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

/** What came of so many probes. */
async function outcomes(
  count: number,
  probe: (call: number, signal: AbortSignal) => Promise<object>,
  limits: ProbeLimits,
): Promise<string[]> {
  const seen: string[] = [];
  const over = new AbortController();
  const listener = {
    onProbe: () => seen.push('answer'),
    onFailure: (_error: unknown, late: boolean) => seen.push(late ? 'late' : 'refused'),
  };
  let calls = 0;
  const loop = probeLoop((signal) => probe(calls++, signal), listener, over.signal, limits);
  await expect.poll(() => seen.length, PATIENCE).toBeGreaterThanOrEqual(count);
  over.abort();
  await loop;
  return seen.slice(0, count);
}

test('after a refusal it asks again soon', async () => {
  const limits = { probeEveryMs: NEVER_MS, reprobeMs: 1, probeMs: NEVER_MS };
  expect(await outcomes(2, refuse, limits)).toEqual(['refused', 'refused']);
});

test('after answers and late ones it asks when it is time', async () => {
  const limits = { probeEveryMs: 1, reprobeMs: NEVER_MS, probeMs: 10 };
  const probe = (call: number, signal: AbortSignal) => (call % 2 === 0 ? Promise.resolve({}) : hang(signal));
  expect(await outcomes(4, probe, limits)).toEqual(['answer', 'late', 'answer', 'late']);
});

test('only the first refusal is looked at again soon, and an engine that is gone is out within a second', () => {
  const pauses = [0, 1, 2, 3].map((refusals) => pauseAfter(refusals, SUPERVISOR_LIMITS));
  const { probeEveryMs, reprobeMs } = SUPERVISOR_LIMITS;
  expect(pauses).toEqual([probeEveryMs, reprobeMs, probeEveryMs, probeEveryMs]);
  // The rest of the second is for the probes themselves.
  expect(probeEveryMs + reprobeMs).toBeLessThanOrEqual(700);
});

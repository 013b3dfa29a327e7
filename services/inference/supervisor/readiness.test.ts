import { expect, test } from 'vitest';
import { StartStalledError, untilReady } from './readiness.ts';

const notReady = () => Promise.reject(new Error('not yet'));
const forever = new AbortController().signal;

test('gives up on a start that stands still', async () => {
  const startedAtMs = performance.now();
  const waiting = untilReady({ probe: notReady, signal: forever, progressedAtMs: () => startedAtMs, stallMs: 60 });
  await expect(waiting).rejects.toThrow(StartStalledError);
});

test('waits for one that goes on, however long it takes', async () => {
  const startedAtMs = performance.now();
  const probe = () => (performance.now() - startedAtMs > 300 ? Promise.resolve({ waiting: 3 }) : notReady());
  const progressedAtMs = () => performance.now();
  expect(await untilReady({ probe, signal: forever, progressedAtMs, stallMs: 60 })).toEqual({ waiting: 3 });
});

test('ends with its signal', async () => {
  const signal = AbortSignal.timeout(50);
  const waiting = untilReady({ probe: notReady, signal, progressedAtMs: () => performance.now(), stallMs: 60_000 });
  await expect(waiting).rejects.toThrow();
});

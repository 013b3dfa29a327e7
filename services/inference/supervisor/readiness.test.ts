import { expect, test } from 'vitest';
import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { StartRefusedError } from '../engines/start-refused.ts';
import { StartStalledError, untilReady } from './readiness.ts';

const notReady = () => Promise.reject(new Error('not yet'));
const forever = new AbortController().signal;
const limitMs = 3_600_000;

test('gives up on a start that stands still', async () => {
  const startedAtMs = performance.now();
  const waiting = untilReady({
    probe: notReady,
    signal: forever,
    progressedAtMs: () => startedAtMs,
    stallMs: 60,
    limitMs,
  });
  await expect(waiting).rejects.toThrow(StartStalledError);
});

test('waits for one that goes on, however long it takes', async () => {
  const startedAtMs = performance.now();
  const probe = () => (performance.now() - startedAtMs > 300 ? Promise.resolve({ waiting: 3 }) : notReady());
  const progressedAtMs = () => performance.now();
  expect(await untilReady({ probe, signal: forever, progressedAtMs, stallMs: 60, limitMs })).toEqual({ waiting: 3 });
});

test('ends with its signal', async () => {
  const signal = AbortSignal.timeout(50);
  const waiting = untilReady({
    probe: notReady,
    signal,
    progressedAtMs: () => performance.now(),
    stallMs: 60_000,
    limitMs,
  });
  await expect(waiting).rejects.toThrow();
});

test('gives up on one that goes on for ever', async () => {
  const progressedAtMs = () => performance.now();
  const waiting = untilReady({ probe: notReady, signal: forever, progressedAtMs, stallMs: 60_000, limitMs: 60 });
  await expect(waiting).rejects.toThrow('not ready after 0.06 s');
});

test('does not wait for what waiting cannot help', async () => {
  const refused = new StartRefusedError(FailureCause.UNSUPPORTED_MODEL, 'not pulled', 'Pull it.');
  const probe = () => Promise.reject(refused);
  const progressedAtMs = () => performance.now();
  const waiting = untilReady({ probe, signal: forever, progressedAtMs, stallMs: 60_000, limitMs });
  await expect(waiting).rejects.toBe(refused);
});

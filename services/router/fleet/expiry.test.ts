import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { RegisterRequestSchema } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { EngineLoads } from '../select/engine-loads.ts';
import { expireSilent } from './expiry.ts';
import { Registry } from './registry.ts';

let registry: Registry;
let stop: () => void;
let clockMs: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  clockMs = 0;
  registry = new Registry({ aliases: {} }, new EngineLoads());
  stop = expireSilent(registry, () => clockMs);
  report();
});
afterEach(() => {
  stop();
  vi.useRealTimers();
});

const report = () =>
  registry.report(create(RegisterRequestSchema, { node: 'a', epoch: 1n }), { epochMs: 0, monotonicMs: clockMs });
const isLive = () => registry.member('a')?.live;

/** Lets time pass as it does for a process that runs. */
function pass(forMs: number): void {
  for (const endsAtMs = clockMs + forMs; clockMs < endsAtMs; ) {
    clockMs += 10;
    vi.advanceTimersByTime(10);
  }
}

test('a silent node is out within 2 s, and not while it reports', () => {
  for (let i = 0; i < 10; i += 1) {
    pass(600);
    report();
  }
  expect(isLive()).toBe(true);
  pass(1_800);
  expect(isLive()).toBe(true);
  pass(200);
  expect(isLive()).toBe(false);
});

test('after a pause of the router its nodes have time to be heard again', () => {
  pass(500);
  clockMs += 60_000;
  vi.advanceTimersByTime(100);
  expect(isLive()).toBe(true);
  pass(300);
  report();
  pass(1_000);
  expect(isLive()).toBe(true);
});

test('after a pause of the router a node that is gone is out', () => {
  clockMs += 60_000;
  vi.advanceTimersByTime(100);
  pass(1_000);
  expect(isLive()).toBe(false);
});

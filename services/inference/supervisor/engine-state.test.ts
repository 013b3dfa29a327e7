import { expect, test } from 'vitest';
import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { mayBecome } from './engine-state.ts';

const WALKS: readonly (readonly EngineState[])[] = [
  [
    EngineState.PENDING,
    EngineState.PLACED,
    EngineState.STARTING,
    EngineState.READY,
    EngineState.DRAINING,
    EngineState.STOPPING,
    EngineState.STOPPED,
  ],
  [EngineState.READY, EngineState.UNHEALTHY, EngineState.READY],
  [EngineState.PENDING, EngineState.STARTING, EngineState.UNHEALTHY],
  [EngineState.PENDING, EngineState.BACKOFF, EngineState.BACKOFF, EngineState.PLACED, EngineState.STOPPED],
  [EngineState.READY, EngineState.UNHEALTHY, EngineState.BACKOFF, EngineState.PLACED, EngineState.STARTING],
  [EngineState.STARTING, EngineState.QUARANTINED, EngineState.STOPPED],
  [EngineState.READY, EngineState.DRAINING, EngineState.SLEEPING, EngineState.STARTING, EngineState.READY],
  [EngineState.SLEEPING, EngineState.STOPPING, EngineState.STOPPED],
  [EngineState.SLEEPING, EngineState.UNHEALTHY, EngineState.BACKOFF],
];

test.each(WALKS)('an engine may go %s → %s …', (...walk) => {
  for (let step = 1; step < walk.length; step++) {
    expect(mayBecome(walk[step - 1] as EngineState, walk[step] as EngineState)).toBe(true);
  }
});

test('no way leads from stopped anywhere, from draining back, past starting, or past a place once it crashed', () => {
  expect(mayBecome(EngineState.STOPPED, EngineState.READY)).toBe(false);
  expect(mayBecome(EngineState.DRAINING, EngineState.READY)).toBe(false);
  expect(mayBecome(EngineState.PENDING, EngineState.READY)).toBe(false);
  expect(mayBecome(EngineState.PLACED, EngineState.READY)).toBe(false);
  expect(mayBecome(EngineState.BACKOFF, EngineState.STARTING)).toBe(false);
  expect(mayBecome(EngineState.QUARANTINED, EngineState.READY)).toBe(false);
});

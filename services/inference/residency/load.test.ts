import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { EngineSchema, EngineState, EngineStateSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { Load } from './load.ts';

const engine = (state: EngineState, percent = 0) => create(EngineSchema, { name: 'chat', state, percent });

async function all(load: Load, signal = new AbortController().signal): Promise<string[]> {
  const seen: string[] = [];
  for await (const { state, percent } of load.follow(signal))
    seen.push(`${EngineStateSchema.value[state]?.localName} ${percent}`);
  return seen;
}

test('whoever joins sees where it is, then every state in order, READY last', async () => {
  const load = new Load(engine(EngineState.PENDING));
  const early = all(load);
  load.progress(engine(EngineState.PLACED));
  const late = all(load);
  load.progress(engine(EngineState.STARTING, 10));
  load.end(engine(EngineState.READY));
  expect(await early).toEqual(['PENDING 0', 'PLACED 0', 'STARTING 10', 'READY 0']);
  expect(await late).toEqual(['PLACED 0', 'STARTING 10', 'READY 0']);
  expect(await all(load)).toEqual(['READY 0']);
});

test('who does not read is told the latest of each state, however much happens', async () => {
  const load = new Load(engine(EngineState.STARTING));
  const changes = load.follow(new AbortController().signal);
  await changes.next();
  for (let percent = 1; percent <= 100; percent++) load.progress(engine(EngineState.STARTING, percent));
  load.end(engine(EngineState.READY));
  expect((await changes.next()).value).toMatchObject({ state: EngineState.STARTING, percent: 100 });
  expect((await changes.next()).value).toMatchObject({ state: EngineState.READY });
  expect((await changes.next()).done).toBe(true);
});

test('a failure reaches everybody after what they had not read', async () => {
  const load = new Load(engine(EngineState.STARTING));
  const seen = all(load);
  load.fail(new MeshError('CONFLICT', 'no room'));
  await expect(seen).rejects.toMatchObject({ reason: 'CONFLICT' });
  await expect(all(load)).rejects.toMatchObject({ reason: 'CONFLICT' });
});

test('who leaves is told nothing more, and the load goes on', async () => {
  const load = new Load(engine(EngineState.PENDING));
  const leaving = new AbortController();
  const seen = all(load, leaving.signal);
  leaving.abort();
  load.progress(engine(EngineState.PLACED));
  expect(await seen).toEqual(['PENDING 0']);
  expect(await all(load, leaving.signal)).toEqual([]);
  expect(load.isOver).toBe(false);
});

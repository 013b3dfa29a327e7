import { create } from '@bufbuild/protobuf';
import { beforeEach, expect, test } from 'vitest';
import { ModelRole } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { EngineSchema, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { type RegisterRequest, RegisterRequestSchema } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { EngineLoads } from '../select/engine-loads.ts';
import { LEASE_MS, Registry } from './registry.ts';

const at = (monotonicMs: number) => ({ epochMs: 1_000_000 + monotonicMs, monotonicMs });

function report(node: string, epoch: bigint, engines: { name: string; modelId: string }[]): RegisterRequest {
  return create(RegisterRequestSchema, {
    node,
    epoch,
    engines: engines.map((engine) => create(EngineSchema, { ...engine, state: EngineState.READY })),
  });
}

let registry: Registry;
beforeEach(() => {
  registry = new Registry({ aliases: { 'gpt-4o-mini': 'chat' }, defaultModel: 'chat' }, new EngineLoads());
});

const states = (model: string) => registry.snapshot.route(model)?.candidates.map((c) => c.engine.state);

test('a model answers to its name, its id and its aliases; the default comes first', () => {
  registry.report(
    report('a', 1n, [
      { name: 'sql', modelId: 'org/sql' },
      { name: 'chat', modelId: 'org/chat' },
    ]),
    at(0),
  );
  const { route, models } = registry.snapshot;
  expect(models.map((model) => model.id)).toEqual(['org/chat', 'org/sql']);
  for (const name of ['', 'chat', 'org/chat', 'gpt-4o-mini']) expect(route(name)?.id).toBe('org/chat');
  expect(route('gpt-9')).toBeUndefined();
});

test('without a model, a question for SQL goes to the model of that role, and to the default one where there is none', () => {
  const engines = [
    { name: 'chat', modelId: 'org/chat' },
    { name: 'sql', modelId: 'org/sql' },
  ];
  for (const [textToSql, expected] of [
    ['sql', 'org/sql'],
    [undefined, 'org/chat'],
  ]) {
    const some = new Registry({ aliases: {}, defaultModel: 'chat', textToSql }, new EngineLoads());
    some.report(report('a', 1n, engines), at(0));
    expect(some.snapshot.route('', ModelRole.TEXT_TO_SQL)?.id).toBe(expected);
    expect(some.snapshot.route('', ModelRole.UNSPECIFIED)?.id).toBe('org/chat');
    expect(some.snapshot.route('chat', ModelRole.TEXT_TO_SQL)?.id).toBe('org/chat');
  }
});

test('a configured name means its engines only, the model id all that serve it', () => {
  registry.report(
    report('a', 1n, [
      { name: 'one', modelId: 'm' },
      { name: 'two', modelId: 'm' },
    ]),
    at(0),
  );
  expect(registry.snapshot.route('one')?.candidates.map((c) => c.id)).toEqual(['a/one']);
  expect(registry.snapshot.route('m')?.candidates.map((c) => c.id)).toEqual(['a/one', 'a/two']);
});

test('a silent node is out after its lease, its model still known, and back with its next report', () => {
  registry.report(report('a', 1n, [{ name: 'chat', modelId: 'm' }]), at(0));
  registry.expire(LEASE_MS - 1);
  expect(states('chat')).toEqual([EngineState.READY]);
  registry.expire(LEASE_MS);
  expect(states('chat')).toEqual([EngineState.UNHEALTHY]);
  registry.report(report('a', 1n, [{ name: 'chat', modelId: 'm' }]), at(LEASE_MS + 1));
  expect(states('chat')).toEqual([EngineState.READY]);
});

test('the broken stream of an earlier start does not take a later start out, nor may it report', () => {
  const earlier = report('a', 1n, [{ name: 'chat', modelId: 'm' }]);
  const later = report('a', 2n, [{ name: 'chat', modelId: 'm' }]);
  registry.report(earlier, at(0));
  registry.report(later, at(1));
  registry.lose(earlier, 2);
  expect(states('chat')).toEqual([EngineState.READY]);
  expect(() => registry.report(report('a', 1n, []), at(3))).toThrow(/later start/);
  registry.lose(later, 4);
  expect(states('chat')).toEqual([EngineState.UNHEALTHY]);
});

test('a node that is gone may come back with a clock that was set back', () => {
  registry.report(report('a', 5n, [{ name: 'chat', modelId: 'm' }]), at(0));
  registry.expire(LEASE_MS);
  registry.report(report('a', 4n, [{ name: 'chat', modelId: 'm' }]), at(LEASE_MS + 1));
  expect(states('chat')).toEqual([EngineState.READY]);
});

test('a node of this process is not taken over by its own report from outside', () => {
  registry.report(report('a', 1n, []), at(0));
  const outside = create(RegisterRequestSchema, { node: 'a', epoch: 1n, address: 'http://10.0.0.7:7004' });
  expect(() => registry.report(outside, at(1))).toThrow(/in this process/);
});

const isDraining = () => registry.snapshot.route('chat')?.candidates[0]?.draining;

/** Reports as a node does that has taken over what operators asked for; returns what it is asked for. */
function reportDrained(drained: boolean, epoch = 1n): boolean | undefined {
  const engines = [{ name: 'chat', modelId: 'm' }];
  return registry.report(create(RegisterRequestSchema, { ...report('a', epoch, engines), drained }), at(1));
}

test('an operator drains a node at once, and the node is asked until it has taken it over', () => {
  expect(reportDrained(false)).toBeUndefined();
  expect(registry.drain('a', true).draining).toBe(true);
  expect(isDraining()).toBe(true);
  expect(reportDrained(false)).toBe(true);
  expect(isDraining()).toBe(true);
  expect(reportDrained(true)).toBeUndefined();
  expect(isDraining()).toBe(true);
  registry.drain('a', false);
  expect(isDraining()).toBe(false);
  expect(reportDrained(true)).toBe(false);
  expect(reportDrained(false)).toBeUndefined();
  expect(isDraining()).toBe(false);
  expect(() => registry.drain('b', true)).toThrow(/No node/);
});

test('what an operator asked of another router comes with the reports of the node, and goes with them', () => {
  reportDrained(true);
  expect(isDraining()).toBe(true);
  expect(reportDrained(false)).toBeUndefined();
  expect(isDraining()).toBe(false);
});

test('a node that was drained stays so over its restart', () => {
  reportDrained(true);
  expect(reportDrained(false, 2n)).toBe(true);
  expect(isDraining()).toBe(true);
});

test('a report of the same revision changes the load alone; any other makes a new snapshot', () => {
  const loads = new EngineLoads();
  registry = new Registry({ aliases: {} }, loads);
  const tell = (revision: bigint, state: EngineState, running: number, epoch = 1n) => {
    const engines = [create(EngineSchema, { name: 'chat', state, load: { running } })];
    registry.report(create(RegisterRequestSchema, { node: 'a', epoch, revision, engines }), at(0));
    return registry.snapshot;
  };
  const first = tell(1n, EngineState.READY, 0);
  expect(tell(1n, EngineState.READY, 4)).toBe(first);
  expect(loads.of('a/chat').others).toBe(4);
  expect(registry.member('a')?.node.engines[0]?.load?.running).toBe(4);
  expect(tell(2n, EngineState.UNHEALTHY, 0)).not.toBe(first);
  // Counts anew after a restart of the node.
  const second = registry.snapshot;
  expect(tell(2n, EngineState.READY, 0, 2n)).not.toBe(second);
  tell(2n, EngineState.READY, 3, 2n);
  registry.expire(LEASE_MS);
  expect(loads.of('a/chat').others).toBe(0);
  expect(states('chat')).toEqual([EngineState.UNHEALTHY]);
  tell(2n, EngineState.READY, 0, 2n);
  expect(states('chat')).toEqual([EngineState.READY]);
});

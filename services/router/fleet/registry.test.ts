import { create } from '@bufbuild/protobuf';
import { beforeEach, expect, test } from 'vitest';
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

test('an operator drains a node, and its own reports do not put it back', () => {
  registry.report(report('a', 1n, [{ name: 'chat', modelId: 'm' }]), at(0));
  registry.drain('a', true);
  registry.report(report('a', 1n, [{ name: 'chat', modelId: 'm' }]), at(1));
  expect(registry.snapshot.route('chat')?.candidates[0]?.draining).toBe(true);
  registry.drain('a', false);
  registry.report(report('a', 1n, [{ name: 'chat', modelId: 'm' }]), at(2));
  expect(registry.snapshot.route('chat')?.candidates[0]?.draining).toBe(false);
  expect(() => registry.drain('b', true)).toThrow(/No node/);
});

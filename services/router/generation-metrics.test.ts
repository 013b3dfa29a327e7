import { create } from '@bufbuild/protobuf';
import { beforeEach, expect, test } from 'vitest';
import { PrincipalSchema } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { FinishReason } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { createMetrics, type Metrics } from '../shared/observability/metrics.ts';
import { GenerationRecord } from './generate/generation-record.ts';
import { GenerationMetrics } from './generation-metrics.ts';

let metrics: Metrics;
let observer: GenerationMetrics;

beforeEach(() => {
  metrics = createMetrics({ version: '1', roles: ['router'], mostUsers: 2 });
  observer = new GenerationMetrics(metrics);
});

/** A chat of 1 s: 100 ms in a queue, 40 ms to the engine's first token, 9 tokens after it in 800 ms. */
function chat(more: Partial<GenerationRecord> = {}): GenerationRecord {
  const told = { modelAsked: 'whatever callers send', createdAtMs: 0 };
  const record = new GenerationRecord('chat', { requestId: 'r' }, told);
  const { enteredAtMs } = record;
  return Object.assign(record, {
    ...{ modelId: 'org/m', engine: 'chat', node: 'n', attempts: 1, queuedMs: 100 },
    ...{ bookedAtMs: enteredAtMs + 101, sentAtMs: enteredAtMs + 102, firstTokenAtMs: enteredAtMs + 145 },
    ...{ engineFirstTokenMs: 40, endedAtMs: enteredAtMs + 945 },
    ...{ promptTokens: 20, completionTokens: 11, cachedTokens: 5, finishReason: FinishReason.STOP },
    principal: create(PrincipalSchema, { keyId: 'key-1', userId: 'ann' }),
    ...more,
  });
}

async function value(sample: string): Promise<number> {
  const line = (await metrics.text()).split('\n').find((one) => one.startsWith(`${sample} `));
  return Number(line?.slice(sample.length + 1));
}

const CALL = 'gen_ai_operation_name="chat",gen_ai_response_model="org/m"';

test('a generation is counted once, with its times and tokens', async () => {
  observer.ended(chat());
  expect(await value('mesh_generations_total{operation="chat",model="org/m",engine="chat",outcome="stop"}')).toBe(1);
  expect(await value(`gen_ai_server_request_duration_seconds_sum{${CALL},error_type=""}`)).toBeCloseTo(0.945);
  expect(await value(`gen_ai_server_time_to_first_token_seconds_sum{${CALL}}`)).toBeCloseTo(0.145);
  expect(await value(`gen_ai_server_time_per_output_token_seconds_sum{${CALL}}`)).toBeCloseTo(0.08);
  expect(await value('mesh_router_overhead_seconds_sum')).toBeCloseTo(0.005);
  expect(await value('mesh_queue_wait_seconds_sum{model="org/m"}')).toBeCloseTo(0.1);
  expect(await value(`gen_ai_client_token_usage_sum{${CALL},gen_ai_token_type="input"}`)).toBe(20);
  expect(await value(`gen_ai_client_token_usage_sum{${CALL},gen_ai_token_type="output"}`)).toBe(11);
  expect(await value('api_tokens_total{type="prompt",user="ann"}')).toBe(20);
  expect(await value('api_tokens_total{type="completion",user="ann"}')).toBe(11);
  expect(await value('mesh_cached_tokens_total{model="org/m"}')).toBe(5);
});

test('a failure is counted by its reason, one without an engine under no model, whatever name was sent', async () => {
  const error = new MeshError('MODEL_NOT_FOUND', 'no');
  const nowhere = { modelId: undefined, engine: undefined, bookedAtMs: undefined, firstTokenAtMs: undefined };
  const nothing = { promptTokens: 0, completionTokens: 0, cachedTokens: 0, finishReason: undefined };
  observer.ended(chat({ ...nowhere, ...nothing, error }));
  const none = 'mesh_generations_total{operation="chat",model="",engine="",outcome="MODEL_NOT_FOUND"}';
  expect(await value(none)).toBe(1);
  const text = await metrics.text();
  expect(text).not.toContain('whatever callers send');
  expect(text).not.toContain('api_tokens_total{');
  expect(text).not.toMatch(/time_to_first_token_seconds_count\{/);
});

test('users beyond the bound share a series; no key is ever one', async () => {
  for (const userId of ['ann', 'bob', 'eve', 'dan', 'ann', '']) {
    observer.ended(chat({ principal: create(PrincipalSchema, { keyId: 'key-1', userId }) }));
  }
  expect(await value('api_tokens_total{type="prompt",user="ann"}')).toBe(40);
  expect(await value('api_tokens_total{type="prompt",user="bob"}')).toBe(20);
  expect(await value('api_tokens_total{type="prompt",user="other"}')).toBe(60);
  const text = await metrics.text();
  expect(text).not.toContain('key-1');
  expect(text).not.toContain('"eve"');
});

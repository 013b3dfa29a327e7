import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { randomCanary, sightings } from '../harness/canaries.ts';
import { arrangements, startMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';
import { ONE_PROCESS, SIX_PROCESSES } from '../traces/call-trees.ts';
import { type SpanReceiver, startSpanReceiver } from '../traces/span-receiver.ts';
import { type SeenSpan, spanNamed, treeOf } from '../traces/span-tree.ts';
import { startTracedEngine } from '../traces/traced-engine.ts';
import { newTrace, post, startTracedMesh, type TracedMesh } from '../traces/traced-mesh.ts';

const PROMPT = randomCanary('prompt');
const ANSWER = randomCanary('answer');
const chat = (more: object = {}) => ({ model: 'fake', messages: [{ role: 'user', content: PROMPT }], ...more });

describe.each(arrangements())('one trace, %s', (arrangement) => {
  let traced: TracedMesh;
  let receiver: SpanReceiver;
  /** Keys that were used. */
  const secrets: string[] = [];

  beforeAll(async () => {
    receiver = await startSpanReceiver();
    traced = await startTracedMesh(arrangement, { endpoint: receiver.url, protocol: 'http/json', answer: ANSWER });
    // Scripts are on the server from now on.
    await call('/v1/chat/completions', chat());
  });
  afterAll(async () => {
    await traced?.stop();
    receiver?.stop();
  });

  async function call(path: string, body: object, headers: Record<string, string> = {}): Promise<string> {
    const key = await traced.newKey();
    secrets.push(key);
    return await post(`${traced.mesh.url}${path}`, key, body, headers);
  }

  /** The spans of a trace as soon as they say so; they come in any order. */
  async function spansOf(
    traceId: string,
    isWhole: (spans: readonly SeenSpan[]) => boolean,
  ): Promise<readonly SeenSpan[]> {
    const told = () => `the trace is whole:\n${treeOf(receiver.trace(traceId)).join('\n')}`;
    try {
      await eventually('the trace is whole', () => isWhole(receiver.trace(traceId)));
    } catch (cause) {
      throw new Error(told(), { cause });
    }
    return receiver.trace(traceId);
  }
  const has =
    (...names: string[]) =>
    (spans: readonly SeenSpan[]) =>
      names.every((name) => spans.some((span) => span.name === name)) && areJoined(spans);

  /** Processes export by themselves: a part may be told before what it is a part of. */
  const areJoined = (spans: readonly SeenSpan[]): boolean =>
    spans.filter(({ parentId }) => !spans.some(({ spanId }) => spanId === parentId)).length === 1;

  test('of a call over REST: from its caller down to the engine, each part below the one that asked for it', async () => {
    const { traceId, traceparent } = newTrace();
    const answer = await call('/v1/chat/completions', chat({ stream: true, temperature: 0.5 }), {
      traceparent,
      tracestate: 'vendor=1',
      baggage: 'tenant=acme',
    });
    expect(answer).toContain(ANSWER);
    const expected = arrangement === 'one process' ? ONE_PROCESS : SIX_PROCESSES;
    const spans = await spansOf(traceId, (all) => treeOf(all).length >= expected.length);
    expect(treeOf(spans)).toEqual(expected);

    const request = spanNamed(spans, 'POST /v1/chat/completions');
    expect(traceparent).toContain(request.parentId);
    expect(request.attributes).toMatchObject({
      'http.request.method': 'POST',
      'http.route': '/v1/chat/completions',
      'http.response.status_code': 200,
      'mesh.request.id': expect.stringMatching(/^req_/),
    });
    const engine = spanNamed(spans, 'chat fake-model');
    expect(engine.attributes).toMatchObject({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'fake-model',
      'gen_ai.request.temperature': 0.5,
      'gen_ai.response.model': 'fake-model',
      'gen_ai.response.finish_reasons': ['stop'],
      'gen_ai.usage.input_tokens': 5,
      'gen_ai.usage.output_tokens': 4,
      'gen_ai.response.time_to_first_chunk': expect.any(Number),
      'server.address': '127.0.0.1',
    });
    for (const name of ['chat fake-model', 'generate']) {
      expect(spanNamed(spans, name).events).toEqual(['gen_ai.first_token']);
    }
    expect(traced.engine.headers).toMatchObject({
      traceparent: `00-${traceId}-${engine.spanId}-01`,
      tracestate: 'vendor=1',
      baggage: 'tenant=acme',
    });
  });

  test('of a call over gRPC', async () => {
    const { traceId, traceparent } = newTrace();
    const router = createClient(RouterService, createGrpcTransport({ baseUrl: traced.mesh.url }));
    const headers = { authorization: `Bearer ${await traced.newKey()}`, traceparent };
    const prompt = { input: { case: 'text' as const, value: PROMPT } };
    for await (const _ of router.generate({ model: 'fake', prompt, sampling: { maxTokens: 2 } }, { headers }));
    const spans = await spansOf(traceId, has('text_completion fake-model', 'mesh.quota.v1.QuotaService/Settle'));
    const own = spans.find(({ parentId }) => traceparent.includes(parentId));
    expect(own).toMatchObject({
      name: 'mesh.router.v1.RouterService/Generate',
      attributes: { 'rpc.system.name': 'grpc', 'rpc.response.status_code': 'OK' },
    });
    expect(treeOf(spans)).toHaveLength(treeOf(reached(own, spans)).length);
  });

  test('of a task: its submission and its run', async () => {
    const { traceId, traceparent } = newTrace();
    expect(await call('/generate', { prompt: PROMPT, max_tokens: 2 }, { traceparent })).toContain('task_id');
    const spans = await spansOf(
      traceId,
      has('run task', 'text_completion fake-model', 'mesh.quota.v1.QuotaService/Settle'),
    );
    const run = spanNamed(spans, 'run task');
    expect(run.attributes).toMatchObject({ 'mesh.attempt': 1 });
    const submission = spans.find(({ name }) => name === 'mesh.tasks.v1.TasksService/Submit');
    expect(reached(submission, spans)).toContain(run);
    expect(reached(run, spans).map(({ name }) => name)).toEqual(
      expect.arrayContaining(['generate', 'text_completion fake-model']),
    );
  });

  test('of vectors', async () => {
    const { traceId, traceparent } = newTrace();
    await call('/v1/embeddings', { model: 'fake', input: PROMPT }, { traceparent });
    const spans = await spansOf(traceId, has('embeddings fake-model', 'llm_request', 'POST /v1/embeddings'));
    expect(reached(spanNamed(spans, 'embeddings fake-model'), spans)).toContain(spanNamed(spans, 'llm_request'));
    expect(reached(spanNamed(spans, 'POST /v1/embeddings'), spans)).toHaveLength(spans.length);
  });

  test('that its caller does not record is not recorded, and the engine hears of it all the same', async () => {
    const { traceId, traceparent } = newTrace('00');
    await call('/v1/chat/completions', chat(), { traceparent });
    expect(traced.engine.headers.traceparent).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
    // What came later is there.
    const { traceId: later, traceparent: recorded } = newTrace();
    await call('/v1/chat/completions', chat(), { traceparent: recorded });
    await spansOf(later, has('POST /v1/chat/completions', 'chat fake-model', 'generate'));
    expect(receiver.trace(traceId)).toEqual([]);
  });

  test('of what fails says where, in one word', async () => {
    const { traceId, traceparent } = newTrace();
    await traced.engine.fake.script({ status: 400, body: { error: { message: PROMPT } } });
    await call('/v1/chat/completions', chat({ max_tokens: 3 }), { traceparent });
    await traced.engine.fake.script({ tokens: 4, texts: [ANSWER] });
    const spans = await spansOf(traceId, has('chat fake-model', 'generate', 'POST /v1/chat/completions'));
    expect(spanNamed(spans, 'chat fake-model').attributes['error.type']).toMatch(/^[A-Z_]+$/);
  });

  test('holds no key, no prompt and no answer, and what only runs beside belongs to none', () => {
    const canaries = [PROMPT, ANSWER, traced.mesh.adminKey, ...secrets].map((text) => ({
      kind: text.slice(0, 6),
      text,
    }));
    for (const body of receiver.bodies) expect(sightings('a span', body, canaries)).toEqual([]);
    const beginnings = receiver.spans.filter(({ parentId }) => parentId === '').map(({ name }) => name);
    // What had no trace of its own: the first call of this file, and keys that were made.
    expect(new Set(beginnings)).toEqual(
      new Set(['POST /v1/chat/completions', 'mesh.auth.v1.AuthService/CreateApiKey']),
    );
  });
});

test('a mesh that records nothing hands the trace of its callers on to the engine', async () => {
  const engine = await startTracedEngine(undefined, { tokens: 1 });
  const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
  const mesh = await startMesh('one process', {
    args: ['--model', 'none'],
    config: { inference: { devices: 'none', models } },
  });
  const { traceparent } = newTrace();
  await post(`${mesh.url}/v1/chat/completions`, mesh.adminKey, chat(), { traceparent, baggage: 'tenant=acme' });
  expect(engine.headers).toMatchObject({ traceparent, baggage: 'tenant=acme' });
  await mesh.stop();
  await engine.stop();
});

/** A span and all below it. */
function reached(span: SeenSpan | undefined, spans: readonly SeenSpan[]): SeenSpan[] {
  if (!span) return [];
  return [span, ...spans.filter(({ parentId }) => parentId === span.spanId).flatMap((part) => reached(part, spans))];
}

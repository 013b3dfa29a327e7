import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { arrangements } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';
import { ONE_PROCESS, SIX_PROCESSES } from './call-trees.ts';
import { type Jaeger, startJaeger } from './jaeger.ts';
import { jaegerProgram } from './jaeger-program.ts';
import { type SeenSpan, spanNamed, treeOf } from './span-tree.ts';
import { newTrace, post, startTracedMesh, type TracedMesh } from './traced-mesh.ts';

/** Jaeger may have to be built first. */
const BUILD_LIMIT_MS = 1_800_000;

const chat = { model: 'fake', messages: [{ role: 'user', content: 'Hello' }], stream: true };

describe.each(arrangements())('a real Jaeger shows one call as one trace, %s', (arrangement) => {
  let jaeger: Jaeger;
  let traced: TracedMesh;

  beforeAll(async () => {
    jaeger = await startJaeger(jaegerProgram(process.env.JAEGER));
    const options = { endpoint: jaeger.otlpUrl, protocol: 'http/protobuf', answer: 'hi' } as const;
    traced = await startTracedMesh(arrangement, options);
    // Scripts are on the store's server from now on.
    await post(`${traced.mesh.url}/v1/chat/completions`, await traced.newKey(), chat, {});
  }, BUILD_LIMIT_MS);
  afterAll(async () => {
    await traced?.stop();
    await jaeger?.stop();
  });

  test('from the facade to the engine, each part below the one that asked for it', async () => {
    const { traceId, traceparent } = newTrace();
    await post(`${traced.mesh.url}/v1/chat/completions`, await traced.newKey(), chat, { traceparent });
    const expected = arrangement === 'one process' ? ONE_PROCESS : SIX_PROCESSES;
    let spans: readonly SeenSpan[] = [];
    await eventually('the trace is there', async () => {
      spans = await jaeger.trace(traceId);
      return treeOf(spans).length >= expected.length;
    });
    expect(treeOf(spans)).toEqual(expected);
    expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([traceId]));
    const engine = spanNamed(spans, 'chat fake-model');
    expect(engine.events).toEqual(['gen_ai.first_token']);
    expect(engine.attributes).toMatchObject({ 'span.kind': 'client', 'gen_ai.usage.output_tokens': 4 });
    console.log(treeOf(spans).join('\n'));
  });
});

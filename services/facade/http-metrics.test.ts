import { expect, test } from 'vitest';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { createMetrics, type Metrics } from '../shared/observability/metrics.ts';
import { CHAT, event, type Generation, LIMITS, startFacade, type TestFacade, until } from './test-facade.ts';

/** A facade that is counted, with its metrics as they are scraped. */
async function counted(script?: (generation: Generation) => void): Promise<{ facade: TestFacade; metrics: Metrics }> {
  const metrics = createMetrics({ version: '1.2.3', roles: ['facade'], mostUsers: 10 });
  return { metrics, facade: await startFacade({ resources: { metrics }, ...(script && { script }) }) };
}

/** The samples of a metric, as they stand in the text. */
async function samples(metrics: Metrics, name: string): Promise<string[]> {
  return (await metrics.text())
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
}

/** Tells an answer whose engine took 40 ms to its first token and 60 ms in all, after 2 s in a queue. */
function slowAnswer({ sink, call }: Generation): void {
  const queueTime = { seconds: 2n, nanos: 0 };
  sink.event(event('started', { requestId: call.requestId, model: 'tiny', queueTime, limits: LIMITS }));
  setTimeout(() => {
    sink.event(event('delta', { text: 'Hel', completionTokens: 1, engineSeconds: 0.04 }));
    sink.event(event('delta', { text: 'lo', completionTokens: 2 }));
    sink.event(event('finished', { reason: 1 }));
    sink.event(event('usage', { promptTokens: 7, completionTokens: 2, engineSeconds: 0.06 }));
    sink.end();
  }, 2_100);
}

test('requests are counted by route template, method and status, whatever callers send', async () => {
  const { facade, metrics } = await counted();
  await (await facade.post('/v1/chat/completions', CHAT)).text();
  await (await facade.call('/v1/models/org/tiny-1')).text();
  await (await facade.call('/nothing/here?id=1')).text();
  await (await facade.post('/v1/chat/completions', { model: 1 })).text();
  await until(() => facade.generations.length === 1, 'one generation');
  await expect
    .poll(() => samples(metrics, 'api_requests_total'))
    .toEqual([
      'api_requests_total{endpoint="/v1/chat/completions",method="POST",status="200"} 1',
      'api_requests_total{endpoint="/v1/models/{id}",method="GET",status="200"} 1',
      'api_requests_total{endpoint="none",method="GET",status="404"} 1',
      'api_requests_total{endpoint="/v1/chat/completions",method="POST",status="400"} 1',
    ]);
  expect(await samples(metrics, 'api_request_duration_seconds_count')).toEqual([
    'api_request_duration_seconds_count 4',
  ]);
  await facade.close();
});

test('a caller who leaves before an answer began is counted once, with 499', async () => {
  const { facade, metrics } = await counted(() => {});
  const controller = new AbortController();
  const asked = facade.call('/v1/chat/completions', {
    method: 'POST',
    body: JSON.stringify(CHAT),
    headers: { 'content-type': 'application/json' },
    signal: controller.signal,
  });
  await until(() => facade.generations.length === 1, 'the generation');
  controller.abort();
  await expect(asked).rejects.toThrow();
  await expect
    .poll(() => samples(metrics, 'api_requests_total'))
    .toEqual(['api_requests_total{endpoint="/v1/chat/completions",method="POST",status="499"} 1']);
  await facade.close();
});

test.each([false, true])(
  'our share of the time is told, without the queue and the engine (stream: %s)',
  async (stream) => {
    const { facade, metrics } = await counted(slowAnswer);
    const askedAtMs = performance.now();
    const answer = await facade.post('/v1/chat/completions', { ...CHAT, stream });
    const elapsedMs = performance.now() - askedAtMs;
    const overheadMs = Number(answer.headers.get('x-mesh-overhead-ms'));
    await answer.text();
    // The script waits 2,100 ms, of which these are not ours.
    const elsewhereMs = stream ? 2_040 : 2_060;
    expect(overheadMs).toBeGreaterThan(2_090 - elsewhereMs);
    expect(overheadMs).toBeLessThan(elapsedMs - elsewhereMs + 1);
    const [sum] = await samples(metrics, 'mesh_overhead_seconds_sum');
    expect(Number(sum?.split(' ')[1]) * 1_000).toBeCloseTo(overheadMs, 2);
    expect(await samples(metrics, 'mesh_overhead_seconds_count')).toEqual(['mesh_overhead_seconds_count 1']);
    await facade.close();
  },
);

test('an answer of which the engine’s time is not known has no such header', async () => {
  const { facade } = await counted();
  for (const stream of [false, true]) {
    const answer = await facade.post('/v1/chat/completions', { ...CHAT, stream });
    await answer.text();
    expect(answer.headers.has('x-mesh-overhead-ms')).toBe(false);
  }
  await facade.close();
});

test('our share of a stream counts once also where it breaks off or its reader leaves, and not where it never began', async () => {
  const { facade, metrics } = await counted(({ sink, call }) => {
    sink.event(event('started', { requestId: call.requestId, model: 'tiny', limits: LIMITS }));
    const place = facade.generations.length;
    if (place > 1) sink.event(event('delta', { text: 'a', completionTokens: 1, engineSeconds: 0.00001 }));
    if (place < 3) sink.fail(new MeshError('ENGINE_LOST', 'The engine is gone.'));
    else call.signal.addEventListener('abort', () => sink.fail(call.signal.reason));
  });
  const ask = (): Promise<Response> => facade.post('/v1/chat/completions', { ...CHAT, stream: true });
  const counts = (): Promise<string[]> => samples(metrics, 'mesh_overhead_seconds_count');
  await (await ask()).text();
  expect(await counts()).toEqual(['mesh_overhead_seconds_count 0']);
  await (await ask()).text();
  expect(await counts()).toEqual(['mesh_overhead_seconds_count 1']);
  await (await ask()).body?.cancel();
  await expect.poll(counts).toEqual(['mesh_overhead_seconds_count 2']);
  await facade.close();
});

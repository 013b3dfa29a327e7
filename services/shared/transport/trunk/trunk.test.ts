import { once } from 'node:events';
import http2 from 'node:http2';
import { afterAll, describe, expect, test } from 'vitest';
import { RouterService } from '../../../../gen/mesh/router/v1/router_service_pb.ts';
import { startFaultProxy } from '../../../../test/harness/fault-proxy.ts';
import { freePort } from '../../../../test/harness/processes.ts';
import { MeshError } from '../../errors/mesh-error.ts';
import { READ_MAX_BYTES } from '../limits.ts';
import { delta, eventually, MESH_TOKEN, startTestListener } from '../listener.fixture.ts';
import type { Routes } from '../routes.ts';
import { eventBytes } from './event-bytes.ts';
import { runOver } from './trunk.fixture.ts';
import { createTrunkClient, type TrunkClient } from './trunk-client.ts';
import { attachHandler } from './trunk-handler.ts';
import { CREDIT_BYTES, OPEN_TIMEOUT_MS } from './trunk-limits.ts';

const PATIENCE_MS = 30_000;
const closing: (() => unknown)[] = [];
afterAll(async () => {
  for (const close of closing.reverse()) await close();
});

function trunkTo(url: string, meshToken = MESH_TOKEN): TrunkClient {
  const trunk = createTrunkClient({ url, method: RouterService.method.attach, meshToken });
  closing.push(() => trunk.close());
  return trunk;
}

/** A server, a proxy before it, and a trunk over that. */
async function startPair(routes?: readonly Routes[]) {
  const { listener, seen } = await startTestListener({ isForPeers: true, ...(routes ? { routes } : {}) });
  closing.push(() => listener.close());
  const proxy = await startFaultProxy(listener.port);
  closing.push(() => proxy.close());
  const { generate } = trunkTo(proxy.url);
  return { listener, seen, proxy, generate };
}

const until = (holds: () => boolean, what: string) => eventually(holds, what, PATIENCE_MS);
const shared = await startPair();

describe('the seam over a trunk', () => {
  const { generate, seen, proxy } = shared;

  test('events, then the end, once; all over one connection', async () => {
    const runs = Array.from({ length: 50 }, () => runOver(generate, 'two'));
    await until(() => runs.every(({ isOver }) => isOver()), 'the ends');
    for (const { told } of runs) expect(told).toEqual(['delta', 'delta', 'usage', 'end']);
    expect(proxy.made()).toBe(1);
  });

  test('carries request id, credential, address and deadline', async () => {
    const options = { requestId: 'req_9', credential: 'good-key', clientIp: '10.1.2.3', timeoutMs: 5_000 };
    const { isOver } = runOver(generate, 'two', options);
    await until(isOver, 'the end');
    expect(seen.calls.at(-1)).toMatchObject(options);
  });

  test('a failure is that of the other side, with its details', async () => {
    const { told, error, isOver } = runOver(generate, 'fail');
    await until(isOver, 'the failure');
    expect(told).toEqual(['fail']);
    expect(error()).toMatchObject({ reason: 'MODEL_NOT_FOUND', metadata: { model: 'x' }, message: 'No such model.' });
  });

  test('an abort fails at once with its reason and reaches the other side; nothing else ends', async () => {
    const staying = runOver(generate, 'wait');
    const { told, abort, error } = runOver(generate, 'wait');
    await until(() => told.length === 1 && staying.told.length === 1, 'the first events');
    const [stays, goes] = seen.calls.slice(-2);
    abort(new MeshError('CLIENT_STALLED', 'stalled'));
    expect(told).toEqual(['delta', 'fail']);
    expect(error()?.reason).toBe('CLIENT_STALLED');
    await until(() => goes?.signal.aborted === true, 'the signal aborts');
    expect(stays?.signal.aborted).toBe(false);
    staying.abort();
    await until(() => stays?.signal.aborted === true, 'the other signal aborts');
    expect(staying.told).toEqual(['delta', 'fail']);
  });

  test('an abort before the call makes none', () => {
    const calls = seen.calls.length;
    const signal = AbortSignal.abort(new MeshError('CLIENT_GONE', 'gone'));
    expect(runOver(generate, 'two', { signal }).told).toEqual(['fail']);
    expect(seen.calls.length).toBe(calls);
  });

  test('the deadline ends it and reaches the other side', async () => {
    const { isOver, error } = runOver(generate, 'wait', { timeoutMs: 100 });
    await until(isOver, 'the end');
    expect(error()).toMatchObject({ reason: 'DEADLINE_EXCEEDED', metadata: { limit: 'total' } });
    await until(() => seen.calls.at(-1)?.signal.aborted === true, 'the signal aborts');
  });

  test('who reads slowly pauses its own engine at its credit and holds up nobody', async () => {
    const slow = runOver(generate, 'flood');
    // Before anything has come: what is read has its credit back.
    slow.flow.pause();
    const call = await callOf(seen);
    await until(() => call.flow.paused, 'its engine pauses');
    const other = runOver(generate, 'two');
    await until(other.isOver, 'the other ends');
    const heldBytes = slow.events.reduce((sum, event) => sum + eventBytes(event), 0);
    expect(heldBytes).toBeLessThanOrEqual(CREDIT_BYTES + eventBytes(slow.events[0] ?? delta('')));
    const held = slow.events.length;
    slow.flow.resume();
    await until(() => slow.events.length > held + 200, 'it flows again');
    slow.abort();
  });

  test('what is too large fails alone', async () => {
    const running = runOver(generate, 'wait');
    const huge = runOver(generate, 'x'.repeat(READ_MAX_BYTES));
    expect(huge.error()?.reason).toBe('MESSAGE_TOO_LARGE');
    const large = Array.from({ length: 5 }, () => runOver(generate, 'x'.repeat(READ_MAX_BYTES / 2)));
    await until(() => large.every(({ isOver }) => isOver()), 'the large ones end');
    for (const { told } of large) expect(told.at(-1)).toBe('end');
    expect(running.told).toEqual(['delta']);
    running.abort();
  });
});

/** The call of the run that was started last. */
async function callOf(seen: { calls: { signal: AbortSignal; flow: { paused: boolean } }[] }) {
  const before = seen.calls.length;
  await until(() => seen.calls.length > before, 'it is called');
  const call = seen.calls.at(-1);
  if (!call) throw new Error('no call');
  return call;
}

test('an answer that is too large fails alone', async () => {
  const huge = delta('x'.repeat(READ_MAX_BYTES));
  const pair = await startPair([
    (router) =>
      router.service(RouterService, {
        attach: attachHandler({
          generate(request, call, sink) {
            call.signal.addEventListener('abort', () => sink.fail(call.signal.reason as MeshError), { once: true });
            sink.event(request.prompt?.input.value === 'huge' ? huge : delta('one'));
          },
        }),
      }),
  ]);
  const running = runOver(pair.generate, 'small');
  const { error, isOver } = runOver(pair.generate, 'huge');
  await until(isOver, 'it fails');
  expect(error()?.reason).toBe('MESSAGE_TOO_LARGE');
  await until(() => running.told.length === 1, 'the other runs');
  expect(running.told).toEqual(['delta']);
  running.abort();
});

test('a trunk on which nothing is told for long stays', { timeout: 60_000 }, async () => {
  const { proxy, generate } = await startPair([
    (router) =>
      router.service(RouterService, {
        attach: attachHandler({
          generate(_request, _call, sink) {
            setTimeout(() => sink.fail(new MeshError('ENGINE_BUSY', 'late')), 2 * OPEN_TIMEOUT_MS);
          },
        }),
      }),
  ]);
  const { error, isOver } = runOver(generate, 'slow');
  await until(isOver, 'it is answered');
  expect(error()?.reason).toBe('ENGINE_BUSY');
  expect(proxy.made()).toBe(1);
});

describe('when the trunk breaks', () => {
  test('what runs fails once, on both sides, and the next call opens another', async () => {
    const { proxy, generate, seen } = await startPair();
    const begun = runOver(generate, 'wait');
    await until(() => begun.told.length === 1, 'the first event');
    proxy.cut();
    await until(begun.isOver, 'it fails');
    expect(begun.told).toEqual(['delta', 'fail']);
    expect(begun.error()).toMatchObject({ reason: 'PEER_UNAVAILABLE', metadata: { peer: 'router' } });
    await until(() => seen.calls[0]?.signal.aborted === true, 'the engine is told');
    const next = runOver(generate, 'two');
    await until(next.isOver, 'the next ends');
    expect(next.told.at(-1)).toBe('end');
    expect(proxy.made()).toBe(2);
  });

  test('what has no event yet may be asked elsewhere', async () => {
    const { proxy, generate, listener, seen } = await startPair([
      (router) =>
        router.service(RouterService, {
          attach: attachHandler({
            generate(_request, call, sink) {
              seen.calls.push(call);
              call.signal.addEventListener('abort', () => sink.fail(call.signal.reason as MeshError), { once: true });
            },
          }),
        }),
    ]);
    const { told, error, isOver } = runOver(generate, 'mute');
    await until(() => seen.calls.length === 1, 'it is asked');
    proxy.cut();
    await until(isOver, 'it fails');
    expect(told).toEqual(['fail']);
    expect(error()?.reason).toBe('PEER_UNAVAILABLE');
    await listener.close();
  });

  test('a host that vanishes without a word is found by both sides', { timeout: 60_000 }, async () => {
    const { proxy, generate, seen } = await startPair();
    const run = runOver(generate, 'wait');
    await until(() => run.told.length === 1, 'the first event');
    proxy.freeze();
    await until(() => run.isOver() && seen.calls[0]?.signal.aborted === true, 'both sides notice');
    expect(run.error()).toMatchObject({ reason: 'PEER_UNAVAILABLE', metadata: { peer: 'router' } });
  });

  test('nobody there: PEER_UNAVAILABLE, and at once while it is not tried again', async () => {
    const port = await freePort();
    const { generate } = trunkTo(`http://127.0.0.1:${port}`);
    const first = runOver(generate, 'two');
    await until(first.isOver, 'it fails');
    expect(first.error()?.reason).toBe('PEER_UNAVAILABLE');
    expect(first.error()?.message).not.toContain(String(port));
    const second = runOver(generate, 'two');
    expect(second.error()?.reason).toBe('PEER_UNAVAILABLE');
    const { listener } = await startTestListener({ port });
    closing.push(() => listener.close());
    await until(() => {
      const run = runOver(generate, 'wait');
      if (run.isOver()) return false;
      run.abort();
      return true;
    }, 'it is tried again');
  });

  test('a wrong proof is refused with its reason', async () => {
    const { generate } = trunkTo(shared.listener.url, 'wrong');
    const { error, isOver } = runOver(generate, 'two');
    await until(isOver, 'it fails');
    expect(error()?.reason).toBe('PEER_ONLY');
  });
});

describe('when the other side ends', () => {
  test('a drain waits for what runs and not for the trunk, and nothing new is taken', async () => {
    const { generate, listener, seen } = await startPair();
    const running = runOver(generate, 'wait');
    await until(() => running.told.length === 1, 'the first event');
    expect(await listener.drain(1)).toBe(false);
    for (const seam of [generate, trunkTo(listener.url).generate]) {
      const refused = runOver(seam, 'two');
      await until(refused.isOver, 'it is refused');
      expect(refused.error()?.reason).toBe('SHUTTING_DOWN');
    }
    const drained = listener.drain(PATIENCE_MS);
    expect(running.told).toEqual(['delta']);
    running.abort();
    await until(() => seen.calls[0]?.signal.aborted === true, 'the engine is told');
    expect(await drained).toBe(true);
    // The side that asks leaves a trunk on which nothing runs any more.
    expect(await listener.peersGone(PATIENCE_MS)).toBe(true);
  });

  test('what runs to the end is told why it ends', async () => {
    const { generate, listener, seen } = await startPair();
    const running = runOver(generate, 'wait');
    await until(() => running.told.length === 1, 'the first event');
    await listener.endWork();
    await until(running.isOver, 'it ends');
    expect(running.error()?.reason).toBe('SHUTTING_DOWN');
    expect(seen.calls[0]?.signal.reason).toMatchObject({ reason: 'SHUTTING_DOWN' });
  });
});

test('nothing on a trunk is compressed, whatever the other side offers', async () => {
  const session = http2.connect(shared.listener.url);
  const request = session.request({
    ':method': 'POST',
    ':path': '/mesh.router.v1.RouterService/Attach',
    'content-type': 'application/grpc',
    'grpc-accept-encoding': 'gzip',
    te: 'trailers',
    'mesh-token': MESH_TOKEN,
  });
  const [headers] = await once(request, 'response');
  expect(headers).toMatchObject({ ':status': 200 });
  expect(headers).not.toHaveProperty('grpc-encoding');
  session.destroy();
});

test('credit is counted as the contract says', () => {
  expect(eventBytes(delta('four'))).toBe(516);
});

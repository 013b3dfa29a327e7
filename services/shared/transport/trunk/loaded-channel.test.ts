import { afterAll, expect, test, vi } from 'vitest';
import { RouterService } from '../../../../gen/mesh/router/v1/router_service_pb.ts';
import { startFaultProxy } from '../../../../test/harness/fault-proxy.ts';
import { eventually, MESH_TOKEN, startTestListener } from '../listener.fixture.ts';
import { runOver } from './trunk.fixture.ts';

const PATIENCE_MS = 30_000;
const { listener } = await startTestListener({ isForPeers: true });
const proxy = await startFaultProxy(listener.port);
afterAll(async () => {
  await proxy.close();
  await listener.close();
});

/** A trunk in a process that has opened none. */
async function firstTrunk(meshToken = MESH_TOKEN) {
  vi.resetModules();
  const { createTrunkClient } = await import('./trunk-client.ts');
  return createTrunkClient({ url: proxy.url, method: RouterService.method.attach, meshToken });
}

test('what is asked before gRPC is loaded goes out when it is, and so does a cancel', async () => {
  const trunk = await firstTrunk();
  const first = runOver(trunk.generate, 'two');
  const second = runOver(trunk.generate, 'two');
  const cancelled = runOver(trunk.generate, 'wait');
  cancelled.abort();
  await eventually(() => first.isOver() && second.isOver(), 'the ends', PATIENCE_MS);
  for (const { told } of [first, second]) expect(told).toEqual(['delta', 'delta', 'usage', 'end']);
  expect(cancelled.told).toEqual(['fail']);
  trunk.close();
});

test('what is closed before gRPC is loaded fails what was asked, and nothing is opened', async () => {
  const trunk = await firstTrunk();
  const madeBefore = proxy.made();
  const { told, error, isOver } = runOver(trunk.generate, 'two');
  trunk.close();
  await eventually(isOver, 'the failure', PATIENCE_MS);
  expect(error()).toMatchObject({ reason: 'PEER_UNAVAILABLE' });
  const { loadChannels } = await import('./loaded-channel.ts');
  await loadChannels();
  // Whatever it would have opened came before this.
  const other = await firstTrunk();
  const next = runOver(other.generate, 'two');
  await eventually(next.isOver, 'the end of another', PATIENCE_MS);
  other.close();
  expect(proxy.made()).toBe(madeBefore + 1);
  expect(told).toEqual(['fail']);
});

test('what cannot be opened once gRPC is loaded fails what was asked', async () => {
  // No header can carry it.
  const trunk = await firstTrunk('a\nb');
  const { error, isOver } = runOver(trunk.generate, 'two');
  await eventually(isOver, 'the failure', PATIENCE_MS);
  expect(error()).toMatchObject({ reason: 'PEER_UNAVAILABLE' });
  trunk.close();
});

import { networkInterfaces } from 'node:os';
import { createClient } from '@connectrpc/connect';
import { expect, onTestFinished, test, vi } from 'vitest';
import { RegistryService } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { silent } from './listener.fixture.ts';
import { createRemoteRouters } from './remote-routers.ts';
import { createRemoteTransport } from './remote-transport.ts';
import { type RouterSourcesOptions, type RouterToTell, routerSources } from './router-sources.ts';

const ADDRESS = 'http://node:7004';

/** Whom a process tells about its engines, as names change. */
function start(given: Pick<RouterSourcesOptions, 'routers'> & Partial<RouterSourcesOptions>) {
  const remote = createRemoteRouters({ meshToken: undefined, log: silent });
  onTestFinished(() => remote.close());
  const routers = new Map<string, RouterToTell>();
  const gone: string[] = [];
  const sources = routerSources({
    ...{ here: undefined, remote, address: ADDRESS, host: '0.0.0.0', port: 7004, log: silent, ...given },
  });
  for (const follow of sources) {
    onTestFinished(follow({ come: (router) => routers.set(router.name, router), go: (name) => gone.push(name) }));
  }
  return { routers, gone };
}

function routerHere(): NonNullable<RouterSourcesOptions['here']> {
  const transport = createRemoteTransport('http://127.0.0.1:1', { meshToken: undefined });
  return createClient(RegistryService, transport);
}

test('routers by their addresses are there at once, the one in this process once', () => {
  const { routers } = start({ routers: ['http://a:7003', ADDRESS], here: routerHere() });
  expect([...routers].map(([name, { address }]) => [name, address])).toEqual([
    ['here', ''],
    ['http://a:7003', ADDRESS],
  ]);
});

test('those behind a name come and go with its addresses', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  let found = ['10.0.0.1', 'fd00::1'];
  const { routers, gone } = start({
    routers: ['dns+https://routers:7003', 'http://b:7003'],
    lookup: async (host) => (host === 'routers' ? found : []),
  });
  await vi.advanceTimersByTimeAsync(0);
  expect([...routers.keys()].toSorted()).toEqual(['http://b:7003', 'https://10.0.0.1:7003', 'https://[fd00::1]:7003']);
  found = ['fd00::1', '10.0.0.2'];
  await vi.advanceTimersByTimeAsync(10_000);
  expect(routers.get('https://10.0.0.2:7003')).toMatchObject({ address: ADDRESS });
  expect(gone).toEqual(['https://10.0.0.1:7003']);
});

test('a name that leads to this process too is not asked for what runs here', async () => {
  const own = Object.values(networkInterfaces()).flatMap((known) => known?.map(({ address }) => address) ?? []);
  const lookup = async () => [...own, '192.0.2.1'];
  const { routers } = start({ routers: ['dns+http://mesh:7004'], here: routerHere(), lookup });
  await expect.poll(() => [...routers.keys()]).toEqual(['here', 'http://192.0.2.1:7004']);
});

test('another process of this machine, with an address of its own, is another one', async () => {
  const lookup = async () => ['127.0.0.1', '127.0.0.2'];
  const { routers } = start({ routers: ['dns+http://mesh:7004'], here: routerHere(), host: '127.0.0.2', lookup });
  await expect.poll(() => [...routers.keys()]).toEqual(['here', 'http://127.0.0.1:7004']);
});

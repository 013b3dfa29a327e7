import { describe, expect, test } from 'vitest';
import { ConfigError } from '../shared/lifecycle/config-source.ts';
import { ROLES, type Role } from '../shared/transport/roles.ts';
import { parentConfig, requireWorkable, type SplitConfig, workerConfig } from './worker-plan.ts';

function config(server: Partial<SplitConfig['server']> = {}, rest: Partial<SplitConfig> = {}): SplitConfig {
  return {
    roles: new Set<Role>(ROLES),
    ...{ port: 8000, bindHost: '0.0.0.0', peers: new Map(), routers: [], observability: { metrics_port: 9090 } },
    ...rest,
    server: { host: '0.0.0.0', workers: 3, max_connections: 100, ...server },
  };
}

const gateway = { roles: new Set<Role>(['router', 'facade']) };

describe('what cannot work is refused by name', () => {
  test.each<[SplitConfig, RegExp]>([
    [config({}, { roles: new Set<Role>(['router', 'tasks']) }), /^server\.workers: .* MESH_ROLES lacks 'facade'/],
    [config({}, { roles: new Set<Role>(['facade']) }), /^server\.workers: .* MESH_ROLES lacks 'router'/],
    [config({}, gateway), /^server\.worker_port: must be set, because engines/],
    [config({}, { routers: ['http://10.0.0.9:7003'] }), /^server\.worker_port: must be set/],
    [config({ worker_port: 65_533 }), /^server\.worker_port: 3 workers need ports up to 65536/],
    [config({ worker_port: 7_998 }), /^server\.worker_port: ports 7998 to 8001 include the public one, 8000/],
    [config({ workers: 1, worker_port: 8_100 }), /^server\.worker_port: there are no workers/],
  ])('%#', (bad, message) => {
    expect(() => requireWorkable(bad)).toThrow(message);
    expect(() => requireWorkable(bad)).toThrow(ConfigError);
  });

  test.each<[SplitConfig]>([
    [config({ workers: 1 }, { roles: new Set<Role>(['quota']) })],
    [config()],
    [config({ worker_port: 8_001 }, gateway)],
    [config({ worker_port: 7_996 })],
  ])('and nothing else: %#', (good) => {
    expect(() => requireWorkable(good)).not.toThrow();
  });
});

const loopback = { host: '127.0.0.1', ports: [4000, 4001, 4002, 4003] } as const;

test('the process that was started runs everything but the facade, out of reach, and tells all routers of its engines', () => {
  const parent = parentConfig(config({}, { routers: ['http://10.0.0.9:7003'] }), loopback);
  expect([...parent.roles]).toEqual(['auth', 'quota', 'router', 'inference', 'tasks']);
  expect(parent).toMatchObject({ port: 4000, bindHost: '127.0.0.1', server: { host: '0.0.0.0' } });
  expect(parent.routers).toEqual([
    'http://10.0.0.9:7003',
    ...['http://127.0.0.1:4001', 'http://127.0.0.1:4002', 'http://127.0.0.1:4003'],
  ]);
});

test('a worker runs router and facade on the public port and asks the process that started it for the rest', () => {
  const worker = workerConfig(config({}, { routers: ['http://10.0.0.9:7003'] }), loopback, 8000);
  expect([...worker.roles]).toEqual(['router', 'facade']);
  expect(worker).toMatchObject({ port: 8000, bindHost: '0.0.0.0', routers: [] });
  expect(Object.fromEntries(worker.peers)).toEqual(
    Object.fromEntries(['auth', 'quota', 'inference', 'tasks'].map((role) => [role, 'http://127.0.0.1:4000'])),
  );
  expect(worker.server.max_connections).toBe(34);
});

test('what runs elsewhere is asked there; an address of all interfaces is called by loopback, with certificates over TLS', () => {
  const peers = new Map<Role, string>([['auth', 'https://auth:7001']]);
  const split = config({ mesh_tls: {} }, { ...gateway, peers });
  const everywhere = { host: '::', ports: [4000, 4001] } as const;
  expect([...workerConfig(split, everywhere, 8000).peers]).toEqual([...peers]);
  expect(parentConfig(split, everywhere).routers).toEqual(['https://[::1]:4001']);
});

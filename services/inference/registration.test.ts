import { once } from 'node:events';
import { createServer, type Http2Server, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, Code, ConnectError } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import pino from 'pino';
import { afterEach, expect, test } from 'vitest';
import { type RegisterRequest, RegistryService } from '../../gen/mesh/router/v1/registry_service_pb.ts';
import { toConnectError } from '../shared/errors/connect-error.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { createMeshClient } from '../shared/transport/client.ts';
import { createRemoteTransport } from '../shared/transport/remote-transport.ts';
import { type Registration, register } from './registration.ts';

/** Generous: the machine may do other work. */
const PATIENT = { timeout: 60_000 };

interface Router {
  readonly reports: RegisterRequest[];
  readonly client: Client<typeof RegistryService>;
  /** Streams that are open. */
  open: number;
  /** The nodes of reports that were refused. */
  readonly refused: Set<string>;
  /** What a report is answered with. Undefined: it is confirmed. */
  refusal: (report: RegisterRequest) => ConnectError | undefined;
  /** What an operator wants. */
  drain: boolean | undefined;
  cut(): void;
  close(): Promise<void>;
}

const log = pino({ level: 'silent' });

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function startRouter(): Promise<Router> {
  const sessions = new Set<ServerHttp2Session>();
  const state = {
    reports: [] as RegisterRequest[],
    open: 0,
    refused: new Set<string>(),
    refusal: (_report: RegisterRequest): ConnectError | undefined => undefined,
    drain: undefined as boolean | undefined,
  };
  const handler = connectNodeAdapter({
    routes: (router) =>
      router.rpc(RegistryService.method.register, async function* (reports, call) {
        state.open++;
        call.signal.addEventListener('abort', () => state.open--);
        for await (const report of reports) {
          const refusal = state.refusal(report);
          if (refusal) {
            state.refused.add(report.node);
            throw refusal;
          }
          state.reports.push(report);
          yield state.drain === undefined ? {} : { drain: state.drain };
        }
      }),
  });
  const server: Http2Server = createServer(handler);
  server.on('session', (session) => sessions.add(session));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const transport = createRemoteTransport(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {
    meshToken: undefined,
    interceptors: [],
  });
  const router = Object.assign(state, {
    client: createMeshClient(RegistryService, transport),
    cut: () => {
      for (const session of sessions) session.destroy();
      sessions.clear();
    },
    close: async () => {
      transport.close();
      router.cut();
      server.close();
      await once(server, 'close');
    },
  });
  closers.push(router.close);
  return router;
}

function announce(router: Router, report: () => object, onDrain = (_drained: boolean) => {}): Registration {
  const registration = register({ registry: router.client, report, onDrain, log });
  closers.push(() => registration.close());
  return registration;
}

test('reports at once, on every change once per turn, and every second', async () => {
  const router = await startRouter();
  let draining = false;
  const registration = announce(router, () => ({ node: 'n', epoch: 7n, draining }));
  await expect.poll(() => router.reports.length, PATIENT).toBe(1);
  expect(router.reports[0]).toMatchObject({ node: 'n', epoch: 7n, draining: false });
  draining = true;
  for (let change = 0; change < 10; change++) registration.changed();
  await expect.poll(() => router.reports.length, PATIENT).toBe(2);
  expect(router.reports[1]?.draining).toBe(true);
  const at = performance.now();
  await expect.poll(() => router.reports.length, PATIENT).toBe(3);
  // Less than the second: the report before was seen a little after it came.
  expect(performance.now() - at).toBeGreaterThan(200);
});

test('what an operator wants comes with the next confirmation', async () => {
  const router = await startRouter();
  const asked: boolean[] = [];
  announce(
    router,
    () => ({ node: 'n' }),
    (drained) => asked.push(drained),
  );
  await expect.poll(() => router.reports.length, PATIENT).toBe(1);
  expect(asked).toEqual([]);
  router.drain = true;
  await expect.poll(() => asked, PATIENT).toContain(true);
});

test('a broken stream and a refusal are tried again', async () => {
  const router = await startRouter();
  announce(router, () => ({ node: 'n' }));
  await expect.poll(() => router.reports.length, PATIENT).toBe(1);
  router.cut();
  await expect.poll(() => router.reports.length, PATIENT).toBeGreaterThan(1);
  router.refusal = () => new ConnectError('later', Code.Unavailable);
  router.cut();
  await expect.poll(() => router.open, PATIENT).toBe(0);
  router.refusal = () => undefined;
  const seen = router.reports.length;
  await expect.poll(() => router.reports.length, PATIENT).toBeGreaterThan(seen);
});

test('a node whose name a newer process has taken stays silent', async () => {
  const router = await startRouter();
  const conflict = toConnectError(new MeshError('CONFLICT', 'newer'));
  const later = new ConnectError('later', Code.Unavailable);
  router.refusal = ({ node }) => (node === 'taken' ? conflict : later);
  announce(router, () => ({ node: 'taken' }));
  announce(router, () => ({ node: 'other' }));
  await expect.poll(() => router.refused, PATIENT).toEqual(new Set(['taken', 'other']));
  router.refusal = () => undefined;
  // The other one is back after its pause and reports again a second later: time enough for twenty first retries.
  await expect.poll(() => router.reports.length, PATIENT).toBeGreaterThan(1);
  expect(new Set(router.reports.map(({ node }) => node))).toEqual(new Set(['other']));
});

test('closing ends the stream, also while the router is away', async () => {
  const router = await startRouter();
  const registration = announce(router, () => ({ node: 'n' }));
  await expect.poll(() => router.open, PATIENT).toBe(1);
  await registration.close();
  await expect.poll(() => router.open, PATIENT).toBe(0);
  const nowhere = createRemoteTransport('http://127.0.0.1:1', { meshToken: undefined, interceptors: [] });
  const registry = createMeshClient(RegistryService, nowhere);
  const away = register({ registry, report: () => ({ node: 'n' }), onDrain: () => {}, log });
  await away.close();
});

const isLeft = (registration: Registration) => Promise.race([registration.left.then(() => true), delay(100, false)]);

test('a router that is found no more is told on while it listens', async () => {
  const router = await startRouter();
  const registration = announce(router, () => ({ node: 'n' }));
  await expect.poll(() => router.reports.length, PATIENT).toBe(1);
  registration.leave(60_000);
  registration.changed();
  await expect.poll(() => router.reports.length, PATIENT).toBeGreaterThan(1);
  expect(await isLeft(registration)).toBe(false);
  router.refusal = () => new ConnectError('gone', Code.Unavailable);
  router.cut();
  await registration.left;
  expect(router.refused).toEqual(new Set());
});

test('it is left in the end, and at once where nobody listens', async () => {
  const router = await startRouter();
  const registration = announce(router, () => ({ node: 'n' }));
  await expect.poll(() => router.reports.length, PATIENT).toBe(1);
  registration.leave(10);
  await registration.left;
  await expect.poll(() => router.open, PATIENT).toBe(0);
  router.refusal = () => new ConnectError('away', Code.Unavailable);
  const away = announce(router, () => ({ node: 'away' }));
  await expect.poll(() => router.refused.size, PATIENT).toBe(1);
  away.leave(60_000);
  await away.left;
});

test('one that is found again is kept, though its stream breaks', async () => {
  const router = await startRouter();
  const registration = announce(router, () => ({ node: 'n' }));
  await expect.poll(() => router.reports.length, PATIENT).toBe(1);
  registration.leave(50);
  registration.stay();
  expect(await isLeft(registration)).toBe(false);
  const seen = router.reports.length;
  router.cut();
  await expect.poll(() => router.reports.length, PATIENT).toBeGreaterThan(seen);
});

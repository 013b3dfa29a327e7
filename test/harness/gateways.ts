import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { Health } from '../../gen/grpc/health/v1/health_pb.ts';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { toConnectError } from '../../services/shared/errors/connect-error.ts';
import { notImplemented } from '../../services/shared/errors/mesh-error.ts';
import { createMeshClient } from '../../services/shared/transport/client.ts';
import { createRemoteTransport } from '../../services/shared/transport/remote-transport.ts';
import { eventually, freePort, type RunningProgram, startProgram } from './processes.ts';
import { startRedis } from './redis.ts';

const main = resolve(import.meta.dirname, '../../services/main.ts');
const MESH_TOKEN = 'test-token-0123456789abcdef0123456789abcdef';

/** A server that shares two cores with another test is late and not away. In milliseconds. */
const STORE_TIMEOUT_MS = 1_500;

/** Cold processes on a machine that may do other work. */
const READY_TIMEOUT_MS = 60_000;

/** Two gateways (everything but auth), each with an auth process of its own, on one Redis. */
export interface GatewayMesh {
  /** The public addresses. */
  readonly urls: readonly [string, string];
  /** The auth process of the first gateway. */
  readonly authUrl: string;
  readonly adminKey: string;
  readonly redisUrl: string;
  /** The auth processes. */
  readonly auths: readonly [RunningProgram, RunningProgram];
  stop(): Promise<void>;
}

/** Starts them. `push` false: the gateways reach auth, but nobody tells them of revocations. */
export async function startGateways(config: object, push: boolean): Promise<GatewayMesh> {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-gateways-'));
  const configFile = join(directory, 'mesh.json');
  const pepperFile = join(directory, 'pepper');
  writeFileSync(configFile, JSON.stringify({ server: { store_timeout_ms: STORE_TIMEOUT_MS }, ...config }));
  writeFileSync(pepperFile, 'test-pepper-0123456789abcdef0123456789abcdef');
  const redis = await startRedis();
  const ends: (() => Promise<unknown>)[] = [];
  const shared = { REDIS_URL: redis.url, MESH_PEPPER_FILE: pepperFile, MESH_TOKEN };

  async function start(name: string, roles: string, env: Record<string, string>, args: string[]) {
    const port = await freePort();
    const own = ['--config', configFile, '--port', String(port), '--data-dir', join(directory, name)];
    const flags = ['--max-semi-space-size=8', '--disable-warning=ExperimentalWarning', main, '--roles', roles];
    const program = startProgram(process.execPath, [...flags, ...own, ...args], { ...shared, ...env }, directory);
    ends.push(() => program.stop());
    return { url: `http://127.0.0.1:${port}`, program };
  }

  async function startGateway(name: string) {
    const auth = await start(`auth-${name}`, 'auth', {}, []);
    const peer = push ? auth.url : await startMuteAuth(auth.url, ends);
    const env = { MESH_PEER_AUTH: peer };
    const gateway = await start(`gateway-${name}`, 'quota,router,inference,tasks,facade', env, ['--model', 'none']);
    return { auth, gateway };
  }

  const stop = async (): Promise<void> => {
    await Promise.all(ends.map((end) => end()));
    await redis.server.stop('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  };
  const started = [await startGateway('a'), await startGateway('b')] as const;
  const [a, b] = started;
  try {
    for (const { gateway } of started) {
      await eventually('a gateway is ready', async () => (await fetch(`${gateway.url}/readyz`)).ok, READY_TIMEOUT_MS);
    }
    // Whichever auth process was the first has made it.
    const adminKey = await eventually('there is an admin key', () => {
      const keys = ['auth-a', 'auth-b'].map((name) => contentOf(join(directory, name, 'admin.key')));
      return keys.find((key) => key !== undefined);
    });
    return {
      urls: [a.gateway.url, b.gateway.url],
      authUrl: a.auth.url,
      adminKey,
      redisUrl: redis.url,
      auths: [a.auth.program, b.auth.program],
      stop,
    };
  } catch (error) {
    const outputs = started.flatMap(({ auth, gateway }) => [auth.program.output(), gateway.program.output()]);
    await stop();
    throw new Error(`the mesh did not start:\n${outputs.join('\n---\n')}`, { cause: error });
  }
}

/** Stands before an auth process and passes on who somebody is, but no revocation. */
async function startMuteAuth(url: string, ends: (() => Promise<unknown>)[]): Promise<string> {
  const transport = createRemoteTransport(url, { meshToken: MESH_TOKEN });
  const auth = createMeshClient(AuthService, transport);
  const health = createMeshClient(Health, transport);
  const routes = connectNodeAdapter({
    routes: (router) =>
      router.service(Health, { check: (request) => health.check(request) }).service(AuthService, {
        authenticate: (request) => auth.authenticate(request),
        watchRevocations() {
          throw toConnectError(notImplemented('WatchRevocations'));
        },
      }),
  });
  const server = http2.createServer(routes).listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(async () => {
    transport.close();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

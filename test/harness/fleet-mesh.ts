import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Client, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import { eventually, freePort, type RunningProgram, startProgram } from './processes.ts';

const main = resolve(import.meta.dirname, '../../services/main.ts');

/** Cold processes on a machine that may do other work. */
const READY_TIMEOUT_MS = 60_000;

/** One process of the mesh: what it runs, and as which inference node. */
export interface FleetProcess {
  readonly name: string;
  readonly roles: string;
  /** The section `inference` of its configuration; its node is called as the process is. */
  readonly inference?: object;
  readonly args?: readonly string[];
  /** It reaches the router, and is reached, over TCP on which things can go wrong. */
  readonly isBehindProxies?: boolean;
}

/** The ways between a process and the one that runs the router. */
export interface Ways {
  readonly toRouter: FaultProxy;
  readonly toProcess: FaultProxy;
}

/** A mesh of processes with several inference nodes. No store is shared: auth, quota and router are one process. */
export interface FleetMesh {
  /** The public address. */
  readonly url: string;
  readonly adminKey: string;
  readonly processes: ReadonlyMap<string, RunningProgram>;
  /** Of each process that is behind proxies. */
  readonly ways: ReadonlyMap<string, Ways>;
  /** The data directory of a process. */
  dataDir(name: string): string;
  /** The admin's way to all nodes, over the public port. */
  readonly inference: Client<typeof InferenceService>;
  stop(): Promise<void>;
}

/**
 * Starts the processes beside one that runs auth, quota, router and tasks; one of them must run the facade.
 *
 * @param sections of the configuration, the same for all processes
 */
export async function startFleetMesh(
  processes: readonly FleetProcess[],
  env: Record<string, string> = {},
  sections: Readonly<Record<string, object>> = {},
): Promise<FleetMesh> {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-fleet-'));
  const all: FleetProcess[] = [{ name: 'core', roles: 'auth,quota,router,tasks' }, ...processes];
  const ports = new Map<string, number>();
  for (const { name } of all) ports.set(name, await freePort());
  const peers = ['AUTH', 'QUOTA', 'ROUTER', 'TASKS'].map((role) => [
    `MESH_PEER_${role}`,
    `http://127.0.0.1:${ports.get('core')}`,
  ]);
  const shared = {
    ...env,
    ...Object.fromEntries(peers),
    MESH_TOKEN: 'test-token-0123456789abcdef0123456789abcdef',
  };
  const running = new Map<string, RunningProgram>();
  const ways = new Map<string, Ways>();
  for (const { name, roles, inference = {}, args = [], isBehindProxies = false } of all) {
    const port = ports.get(name) ?? 0;
    const way = isBehindProxies ? await startWays(ports.get('core') ?? 0, port) : undefined;
    if (way) ways.set(name, way);
    const server = { ...sections.server, ...(way && { advertise_url: way.toProcess.url }) };
    const config = join(directory, `${name}.json`);
    const file = { ...sections, server, inference: { node: name, devices: 'none', ...inference } };
    writeFileSync(config, JSON.stringify(file));
    const own = ['--config', config, '--port', String(port), '--data-dir', join(directory, name)];
    const flags = ['--max-semi-space-size=8', '--disable-warning=ExperimentalWarning', main, '--roles', roles];
    const environment = way ? { ...shared, MESH_PEER_ROUTER: way.toRouter.url } : shared;
    running.set(name, startProgram(process.execPath, [...flags, ...own, ...args], environment, directory));
  }
  const facade = all.find(({ roles }) => roles.split(',').includes('facade'))?.name ?? '';
  const url = `http://127.0.0.1:${ports.get(facade)}`;
  const stop = async (): Promise<void> => {
    // A process that cannot reach the others would wait for them.
    for (const { toRouter, toProcess } of ways.values()) for (const proxy of [toRouter, toProcess]) proxy.thaw();
    await Promise.all([...running.values()].map((program) => program.stop()));
    for (const { toRouter, toProcess } of ways.values()) await Promise.all([toRouter.close(), toProcess.close()]);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await eventually('the mesh is ready', async () => (await fetch(`${url}/readyz`)).ok, READY_TIMEOUT_MS);
    const adminKey = readFileSync(join(directory, 'core', 'admin.key'), 'utf8').trim();
    const transport = createConnectTransport({
      baseUrl: url,
      httpVersion: '2',
      interceptors: [
        (next) => (request) => {
          request.header.set('authorization', `Bearer ${adminKey}`);
          return next(request);
        },
      ],
    });
    const dataDir = (name: string): string => join(directory, name);
    const inference = createClient(InferenceService, transport);
    return { url, adminKey, processes: running, ways, dataDir, inference, stop };
  } catch (error) {
    const outputs = [...running].map(([name, program]) => `--- ${name}\n${program.output()}`).join('\n');
    await stop();
    throw new Error(`the mesh did not start:\n${outputs}`, { cause: error });
  }
}

async function startWays(routerPort: number, processPort: number): Promise<Ways> {
  const [toRouter, toProcess] = await Promise.all([startFaultProxy(routerPort), startFaultProxy(processPort)]);
  return { toRouter, toProcess };
}

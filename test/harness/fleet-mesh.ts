import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Client, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
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
}

/** A mesh of processes with several inference nodes. No store is shared: auth, quota and router are one process. */
export interface FleetMesh {
  /** The public address. */
  readonly url: string;
  readonly adminKey: string;
  readonly processes: ReadonlyMap<string, RunningProgram>;
  /** The data directory of a process. */
  dataDir(name: string): string;
  /** The admin's way to all nodes, over the public port. */
  readonly inference: Client<typeof InferenceService>;
  stop(): Promise<void>;
}

/** Starts the processes beside one that runs auth, quota, router and tasks; one of them must run the facade. */
export async function startFleetMesh(
  processes: readonly FleetProcess[],
  env: Record<string, string> = {},
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
  for (const { name, roles, inference = {}, args = [] } of all) {
    const config = join(directory, `${name}.json`);
    writeFileSync(config, JSON.stringify({ inference: { node: name, devices: 'none', ...inference } }));
    const own = ['--config', config, '--port', String(ports.get(name)), '--data-dir', join(directory, name)];
    const flags = ['--max-semi-space-size=8', '--disable-warning=ExperimentalWarning', main, '--roles', roles];
    running.set(name, startProgram(process.execPath, [...flags, ...own, ...args], shared, directory));
  }
  const facade = all.find(({ roles }) => roles.split(',').includes('facade'))?.name ?? '';
  const url = `http://127.0.0.1:${ports.get(facade)}`;
  const stop = async (): Promise<void> => {
    await Promise.all([...running.values()].map((program) => program.stop()));
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
    return { url, adminKey, processes: running, dataDir, inference: createClient(InferenceService, transport), stop };
  } catch (error) {
    const outputs = [...running].map(([name, program]) => `--- ${name}\n${program.output()}`).join('\n');
    await stop();
    throw new Error(`the mesh did not start:\n${outputs}`, { cause: error });
  }
}

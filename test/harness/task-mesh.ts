import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import type { LedgerStore } from './ledger.ts';
import { eventually, freePort, type RunningProgram, startProgram } from './processes.ts';
import { startDurableRedis } from './redis.ts';

const main = resolve(import.meta.dirname, '../../services/main.ts');

/** Cold processes on a machine that may do other work. */
const READY_TIMEOUT_MS = 100_000;

/** A server that shares two cores with another test is late and not away. In milliseconds. */
const STORE_TIMEOUT_MS = 1_500;

/** Roles by process. "worker" alone reaches Redis over the proxy. */
const SPREAD: Readonly<Record<string, string>> = {
  core: 'auth,quota,router,inference',
  worker: 'tasks',
  'facade-a': 'facade',
  'facade-b': 'facade',
};
const ONE: Readonly<Record<string, string>> = { all: 'auth,quota,router,inference,tasks,facade' };

/** A mesh that runs tasks and whose parts can be killed and started again where they were. */
export interface TaskMesh extends LedgerStore {
  readonly engine: FakeEngine;
  readonly adminKey: string;
  /** Between the worker and Redis. Not in one process. */
  readonly proxy: FaultProxy | undefined;
  /** The public address of a process that runs the facade. */
  url(name?: string): string;
  /** Ends a process and waits until it is gone. */
  end(name: string, signal: NodeJS.Signals): Promise<void>;
  /** Starts it again and waits until it is ready. */
  start(name: string): Promise<void>;
  /** Kills Redis. */
  killRedis(): Promise<void>;
  /** Starts it again with what it kept. */
  startRedis(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts it: in one process with SQLite, or spread over processes that share a Redis that keeps what it accepts. */
export async function startTaskMesh(arrangement: 'one process' | 'spread', sections: object): Promise<TaskMesh> {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-tasks-'));
  const engine = await startFakeEngine();
  const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
  const server = { store_timeout_ms: STORE_TIMEOUT_MS, drain_seconds: 1 };
  const config = { server, inference: { models, devices: 'none' }, ...sections };
  writeFileSync(join(directory, 'mesh.json'), JSON.stringify(config));
  writeFileSync(join(directory, 'pepper'), 'test-pepper-0123456789abcdef0123456789abcdef');
  const roles = arrangement === 'spread' ? SPREAD : ONE;
  let redis = arrangement === 'spread' ? await startDurableRedis(directory) : undefined;
  const redisPort = redis && Number(new URL(redis.url).port);
  const proxy = redisPort === undefined ? undefined : await startFaultProxy(redisPort);
  const ports = new Map<string, number>();
  for (const name of Object.keys(roles)) ports.set(name, await freePort());
  const running = new Map<string, RunningProgram>();
  const urlOf = (name: string): string => `http://127.0.0.1:${ports.get(name)}`;
  const outputs: string[] = [];

  function environment(name: string): Record<string, string> {
    if (!redis || !proxy) return {};
    const peers = ['AUTH', 'QUOTA', 'ROUTER'].map((role) => [`MESH_PEER_${role}`, urlOf('core')]);
    return {
      ...Object.fromEntries(peers),
      MESH_PEER_TASKS: urlOf('worker'),
      REDIS_URL: name === 'worker' ? `redis://127.0.0.1:${proxy.port}` : redis.url,
      MESH_PEPPER_FILE: join(directory, 'pepper'),
      MESH_TOKEN: 'test-token-0123456789abcdef0123456789abcdef',
    };
  }

  function launch(name: string): void {
    const flags = ['--max-semi-space-size=8', '--disable-warning=ExperimentalWarning', main];
    const own = ['--roles', roles[name] ?? '', '--config', join(directory, 'mesh.json')];
    const place = ['--port', String(ports.get(name)), '--data-dir', join(directory, name)];
    running.set(name, startProgram(process.execPath, [...flags, ...own, ...place], environment(name), directory));
  }

  async function ready(name: string): Promise<void> {
    const isReady = async (): Promise<boolean> => {
      const program = running.get(name);
      // Started while a store or another process is away it ends, and is to be started again.
      if (program && program.child.exitCode !== null) {
        outputs.push(program.output());
        launch(name);
      }
      if (!roles[name]?.includes('facade')) return running.get(name)?.output().includes(' listens on ') === true;
      return (await fetch(`${urlOf(name)}/readyz`, { signal: AbortSignal.timeout(5_000) })).ok;
    };
    await eventually(`${name} is ready`, isReady, READY_TIMEOUT_MS);
  }

  const stop = async (): Promise<void> => {
    await Promise.all([...running.values()].map((program) => program.stop('SIGKILL')));
    await proxy?.close();
    await redis?.server.stop('SIGKILL');
    await engine.stop();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    for (const name of Object.keys(roles)) launch(name);
    for (const name of Object.keys(roles)) await ready(name);
    const keyFile = join(directory, redis ? 'core' : 'all', 'admin.key');
    const adminKey = await eventually('there is an admin key', () => readFileSync(keyFile, 'utf8').trim());
    return {
      ...{ engine, adminKey, proxy, stop, redisUrl: redis?.url },
      dataDir: () => join(directory, 'all'),
      url: (name = redis ? 'facade-a' : 'all') => urlOf(name),
      async end(name, signal) {
        await running.get(name)?.stop(signal);
      },
      async start(name) {
        launch(name);
        await ready(name);
      },
      async killRedis() {
        await redis?.server.stop('SIGKILL');
      },
      async startRedis() {
        redis = await startDurableRedis(directory, redisPort);
      },
    };
  } catch (error) {
    const shown = [...outputs, ...[...running].map(([name, program]) => `--- ${name}\n${program.output()}`)].join('\n');
    await stop();
    throw new Error(`the mesh did not start:\n${shown}`, { cause: error });
  }
}

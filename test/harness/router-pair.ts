import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { eventually, freePort, type RunningProgram, startProgram } from './processes.ts';
import { startRedis } from './redis.ts';

const main = resolve(import.meta.dirname, '../../services/main.ts');

/** Cold processes on a machine that may do other work. */
const READY_TIMEOUT_MS = 90_000;

/** Two gateways on one Redis, each with a router of its own, and one inference node that both know. */
export interface RouterPair {
  /** The public address of each gateway. */
  readonly urls: { readonly a: string; readonly b: string };
  readonly adminKey: string;
  readonly node: RunningProgram;
  /** Kills a gateway. */
  kill(name: 'a' | 'b'): Promise<void>;
  /** Starts it again where it was. */
  start(name: 'a' | 'b'): Promise<void>;
  stop(): Promise<void>;
}

/** Starts them; the section `inference` goes to the node, which is called `node`. */
export async function startRouterPair(inference: object): Promise<RouterPair> {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-routers-'));
  const pepperFile = join(directory, 'pepper');
  writeFileSync(pepperFile, 'test-pepper-0123456789abcdef0123456789abcdef');
  const redis = await startRedis();
  const shared = {
    REDIS_URL: redis.url,
    MESH_PEPPER_FILE: pepperFile,
    MESH_TOKEN: 'test-token-0123456789abcdef0123456789abcdef',
  };
  const running = new Map<string, RunningProgram>();
  const ports = { a: await freePort(), b: await freePort(), node: await freePort() };
  const urls = { a: `http://127.0.0.1:${ports.a}`, b: `http://127.0.0.1:${ports.b}` };

  function begin(name: keyof typeof ports, roles: string, config: object, env: Record<string, string>): RunningProgram {
    const file = join(directory, `${name}.json`);
    // A server that shares two cores with another test is late and not away.
    writeFileSync(file, JSON.stringify({ server: { store_timeout_ms: 1_500 }, ...config }));
    const own = ['--config', file, '--port', String(ports[name]), '--data-dir', join(directory, name)];
    const flags = ['--max-semi-space-size=8', '--disable-warning=ExperimentalWarning', main, '--roles', roles];
    const args = [...flags, ...own, '--model', 'none'];
    const program = startProgram(process.execPath, args, { ...shared, ...env }, directory);
    running.set(name, program);
    return program;
  }

  async function start(name: 'a' | 'b'): Promise<void> {
    begin(name, 'auth,quota,router,tasks,facade', { router: { lease_seconds: 5 } }, {});
    await eventually(`${name} is ready`, async () => (await fetch(`${urls[name]}/readyz`)).ok, READY_TIMEOUT_MS);
  }

  async function stop(): Promise<void> {
    await Promise.all([...running.values()].map((program) => program.stop()));
    await redis.server.stop('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  }

  try {
    const env = { MESH_PEER_ROUTER: `${urls.a}, ${urls.b}`, MESH_PEER_AUTH: urls.b };
    const node = begin('node', 'inference', { inference: { node: 'node', devices: 'none', ...inference } }, env);
    await Promise.all([start('a'), start('b')]);
    // Whichever gateway was the first has made it.
    const adminKey = await eventually('there is an admin key', () => {
      const keys = ['a', 'b'].map((name) => contentOf(join(directory, name, 'admin.key')));
      return keys.find((key) => key !== undefined);
    });
    return {
      urls,
      adminKey,
      node,
      async kill(name) {
        await running.get(name)?.stop('SIGKILL');
      },
      start,
      stop,
    };
  } catch (error) {
    const outputs = [...running].map(([name, program]) => `--- ${name}\n${program.output()}`).join('\n');
    await stop();
    throw new Error(`the routers did not start:\n${outputs}`, { cause: error });
  }
}

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type TestAuthority, writeMeshTls } from './certificates.ts';
import { eventually, freePort, type RunningProgram, startProgram } from './processes.ts';
import { hasRedis, startRedis } from './redis.ts';

const root = resolve(import.meta.dirname, '../..');

/** A server that shares two cores with another test is late and not away. In milliseconds. */
const STORE_TIMEOUT_MS = 1_500;

/** The arrangements that every end-to-end scenario runs in. */
export type Arrangement = 'one process' | 'six processes';

/** Six cold processes and their engines on a machine that may do other work. */
const READY_TIMEOUT_MS = 100_000;

const ROLES = ['auth', 'quota', 'router', 'inference', 'tasks', 'facade'] as const;

/** A running mesh. */
export interface TestMesh {
  /** The public address, e.g. "http://127.0.0.1:43117". */
  readonly url: string;
  /** The key of the first start: scope admin, no limits. */
  readonly adminKey: string;
  /** The processes by role; "all" in one process. */
  readonly processes: ReadonlyMap<string, RunningProgram>;
  /** Where each process listens, by role. */
  readonly urls: ReadonlyMap<string, string>;
  /** The shared store. Unset: SQLite in the data directory. */
  readonly redisUrl: string | undefined;
  readonly redisServer: RunningProgram | undefined;
  /** Where the processes were started; their data directories lie in it. */
  readonly directory: string;
  /** The data directory of a role. */
  dataDir(role: string): string;
  stop(): Promise<void>;
}

/** What a test asks of its mesh. */
export interface MeshOptions {
  /** Sections of the configuration file. */
  readonly config?: Record<string, unknown>;
  /** Further flags, e.g. ['--model', 'none']. */
  readonly args?: readonly string[];
  /** Further variables of the environment. */
  readonly env?: Record<string, string>;
  /** What the shared store asks for. Unset: nothing. */
  readonly redisPassword?: string;
  /** Processes prove themselves by certificates of it and talk by TLS; ports of roles take nothing else. */
  readonly authority?: TestAuthority;
}

/** The arrangements that can run here; says so when one cannot. */
export function arrangements(): Arrangement[] {
  if (hasRedis()) return ['one process', 'six processes'];
  console.log('skipped: "six processes" needs redis-server');
  return ['one process'];
}

/** Starts a mesh and waits until it is ready. */
export async function startMesh(arrangement: Arrangement, options: MeshOptions = {}): Promise<TestMesh> {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-'));
  const configFile = join(directory, 'mesh.json');
  const { server, ...rest } = (options.config ?? {}) as { server?: object };
  writeFileSync(configFile, JSON.stringify({ ...rest, server: { store_timeout_ms: STORE_TIMEOUT_MS, ...server } }));
  const { redisPassword = '' } = options;
  const start = arrangement === 'one process' ? startOne : startSix;
  const started = await start({
    directory,
    configFile,
    args: options.args ?? [],
    env: options.env ?? {},
    redisPassword,
    authority: options.authority,
  });
  const stop = async (): Promise<void> => {
    await Promise.all([...started.processes.values()].map((program) => program.stop()));
    await started.redis?.server.stop('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  };
  const dataDir = (role: string): string => join(directory, arrangement === 'one process' ? 'all' : role);
  const outputs = (): string =>
    [...started.processes].map(([role, program]) => `--- ${role}\n${program.output()}`).join('\n');
  try {
    const url = started.urls.get('facade') ?? '';
    await eventually('the mesh is ready', () => isReady(url, started.processes), READY_TIMEOUT_MS);
    // Without a required model the mesh may be ready before the process that runs auth has made it.
    const keyFile = join(dataDir('auth'), 'admin.key');
    const adminKey = await eventually('there is an admin key', () => readFileSync(keyFile, 'utf8').trim());
    const { processes, urls, redis } = started;
    return {
      url,
      adminKey,
      processes,
      urls,
      directory,
      redisUrl: redis?.url,
      redisServer: redis?.server,
      dataDir,
      stop,
    };
  } catch (error) {
    const shown = outputs();
    await stop();
    throw new Error(`the mesh did not start:\n${shown}`, { cause: error });
  }
}

interface Plan {
  readonly directory: string;
  readonly configFile: string;
  readonly args: readonly string[];
  readonly env: Record<string, string>;
  readonly redisPassword: string;
  readonly authority: TestAuthority | undefined;
}

interface Started {
  readonly processes: Map<string, RunningProgram>;
  readonly urls: Map<string, string>;
  readonly redis?: { readonly url: string; readonly server: RunningProgram };
}

async function startOne(plan: Plan): Promise<Started> {
  const port = await freePort();
  const program = startRole(plan, 'all', port, {});
  return {
    processes: new Map([['all', program]]),
    urls: new Map([...ROLES, 'all'].map((role) => [role, `http://127.0.0.1:${port}`])),
  };
}

async function startSix(plan: Plan): Promise<Started> {
  const redis = await startRedis(plan.redisPassword);
  const pepperFile = join(plan.directory, 'pepper');
  writeFileSync(pepperFile, 'test-pepper-0123456789abcdef0123456789abcdef');
  const urls = new Map<string, string>();
  const scheme = plan.authority ? 'https' : 'http';
  for (const role of ROLES) urls.set(role, `${scheme}://127.0.0.1:${await freePort()}`);
  const env: Record<string, string> = {
    REDIS_URL: redis.url,
    MESH_PEPPER_FILE: pepperFile,
    MESH_TOKEN: 'test-token-0123456789abcdef0123456789abcdef',
  };
  for (const [role, url] of urls) env[`MESH_PEER_${role.toUpperCase()}`] = url;
  const processes = new Map<string, RunningProgram>();
  for (const [role, url] of urls) {
    processes.set(role, startRole(plan, role, Number(new URL(url).port), { ...env, MESH_ROLES: role }));
  }
  urls.set('facade', urls.get('facade')?.replace('https:', 'http:') ?? '');
  return { processes, urls, redis };
}

function startRole(plan: Plan, role: string, port: number, env: Record<string, string>): RunningProgram {
  const args = ['--max-semi-space-size=8', '--disable-warning=ExperimentalWarning', join(root, 'services/main.ts')];
  const own = ['--config', configOf(plan, role), '--port', String(port), '--data-dir', join(plan.directory, role)];
  return startProgram(process.execPath, [...args, ...own, ...plan.args], { ...plan.env, ...env }, plan.directory);
}

/** The file of a process: with certificates one of its own. */
function configOf({ directory, configFile, authority }: Plan, role: string): string {
  if (!authority) return configFile;
  const names = (role === 'all' ? ROLES : [role]).map((name) => `${name}.mesh`);
  const files = writeMeshTls(directory, role, { ...authority.issue({ names }), ca: authority.ca });
  const config = JSON.parse(readFileSync(configFile, 'utf8')) as { server: object };
  const path = join(directory, `mesh-${role}.json`);
  writeFileSync(path, JSON.stringify({ ...config, server: { ...config.server, mesh_tls: files } }));
  return path;
}

async function isReady(url: string, processes: ReadonlyMap<string, RunningProgram>): Promise<boolean> {
  for (const [role, { child }] of processes) {
    if (child.exitCode !== null) throw new Error(`${role} ended with ${child.exitCode}`);
  }
  return (await fetch(`${url}/readyz`)).ok;
}

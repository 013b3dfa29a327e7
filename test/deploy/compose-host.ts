// The whole of docker-compose.yml as processes of this machine: real networks, real file systems that are read-only, no engine.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../harness/processes.ts';
import { type ComposeFile, networksOf, ROOT, readComposeFile, readVariables, type Service } from './compose-file.ts';
import { type Container, startContainer } from './container.ts';
import { createHostNetwork } from './host-network.ts';

/** What the machine needs to run containers without an engine. Unset: nothing is missing. */
export function missingForContainers(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'root on Linux';
  const programs = [
    'ip',
    'unshare',
    'nsenter',
    'setpriv',
    'chroot',
    'curl',
    'wget',
    'openssl',
    'redis-server',
    'nginx',
  ];
  const absent = programs.filter((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0);
  if (absent.length > 0) return absent.join(', ');
  const overlay = spawnSync('grep', ['-q', 'overlay', '/proc/filesystems']).status === 0;
  const namespaces = spawnSync('unshare', ['--mount', '--pid', '--net', '--fork', 'true']).status === 0;
  return overlay && namespaces ? undefined : 'a kernel that lets root make namespaces and overlays';
}

/** The set that runs. */
export interface ComposeHost {
  readonly file: ComposeFile;
  /** Those that were started. */
  readonly containers: ReadonlyMap<string, Container>;
  /** Those whose program is not on this machine. */
  readonly absent: readonly string[];
  /** Variables of deploy/.env as the start made them. */
  readonly variables: Readonly<Record<string, string>>;
  /** Runs a command on the host, from where callers come. */
  run(command: readonly string[], timeoutMs?: number): { status: number | null; output: string };
  stop(): Promise<void>;
}

/** How long a service may take until its health check passes, in milliseconds. */
const HEALTHY_TIMEOUT_MS = 240_000;

/**
 * Starts what `deploy/start-all.sh <profile>` starts, in the order that `depends_on` asks for, and waits until it is healthy.
 *
 * @param programs programs for containers that are no part of the machine's usual paths, by service
 */
export async function startComposeHost(profile: string): Promise<ComposeHost> {
  const directory = mkdtempSync(join(tmpdir(), 'compose-'));
  // Its own copy of what start-all.sh writes to, so that nothing of a real installation is touched.
  const copy = join(directory, 'checkout');
  mkdirSync(copy);
  cpSync(join(ROOT, 'deploy'), join(copy, 'deploy'), {
    recursive: true,
    filter: (path) => !/\/deploy\/(secrets|\.env)$/.test(path),
  });
  execFileSync('sh', ['deploy/start-all.sh', profile], {
    cwd: copy,
    env: { PATH: process.env.PATH, SECRETS_ONLY: '1' },
  });
  const variables = {
    ...readVariables(join(copy, 'deploy/.env')),
    MESH_CONFIG_FILE: `./deploy/docker/mesh.${profile}.yaml`,
  };
  const file = readComposeFile(variables);
  const chosen = Object.entries(file.services).filter(
    ([, { profiles }]) => profiles === undefined || profiles.includes(profile),
  );
  const absent = chosen.filter(([, service]) => !hasProgram(service)).map(([name]) => name);
  const running = inOrder(chosen.filter(([name]) => !absent.includes(name)));

  const subnets = Object.entries(file.networks).map(([name, { ipam }]) => [name, ipam?.config[0]?.subnet] as const);
  const host = createHostNetwork(`m${process.pid % 10_000}`, Object.fromEntries(subnets));
  const containers = new Map<string, Container>();
  const stop = async (): Promise<void> => {
    for (const container of [...containers.values()].reverse()) await container.stop('SIGKILL').catch(() => undefined);
    host.remove();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const networks = new Map(running.map(([name, service]) => [name, host.addContainer(name, networksOf(service))]));
    for (const [name, service] of running) {
      const network = networks.get(name);
      if (!network) continue;
      const container = startContainer({
        ...{ name, service, network, directory },
        hosts: hostsOf(name, running, networks),
        secretFile: (secret) => join(copy, file.secrets[secret]?.file ?? ''),
        hostPath: (path) => path.replace(join(ROOT, 'deploy'), join(copy, 'deploy')),
      });
      containers.set(name, container);
      await becomesHealthy(container);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    ...{ file, containers, absent, variables, stop },
    run(command, timeoutMs = 60_000) {
      const options = { encoding: 'utf8', timeout: timeoutMs, maxBuffer: 2 ** 26 } as const;
      const { status, stdout, stderr } = spawnSync('ip', ['netns', 'exec', host.namespace, ...command], options);
      return { status, output: stdout + stderr };
    },
  };
}

/** @throws Error with what it printed, when it ends or takes too long. */
async function becomesHealthy({ name, output, hasEnded, isHealthy }: Container): Promise<void> {
  await eventually(`${name} is healthy`, () => hasEnded() || isHealthy(), HEALTHY_TIMEOUT_MS).catch(() => undefined);
  if (hasEnded() || !isHealthy()) throw new Error(`${name} does not become healthy:\n${output()}`);
}

type Named = readonly [string, Service];

/** A service comes after those that it depends on. */
function inOrder(services: readonly Named[]): Named[] {
  const placed: Named[] = [];
  const place = ([name, service]: Named): void => {
    if (placed.some(([known]) => known === name)) return;
    const needs = Array.isArray(service.depends_on) ? service.depends_on : Object.keys(service.depends_on ?? {});
    for (const other of services) if (needs.includes(other[0])) place(other);
    placed.push([name, service]);
  };
  for (const service of services) place(service);
  return placed;
}

/** Names that a container knows: those of the networks that it is on. */
function hostsOf(
  name: string,
  services: readonly Named[],
  networks: ReadonlyMap<string, { readonly addresses: Readonly<Record<string, string>> }>,
): string {
  const own = networks.get(name)?.addresses ?? {};
  const lines = ['127.0.0.1 localhost'];
  for (const [other, service] of services) {
    for (const [network, { aliases = [] }] of Object.entries(networksOf(service))) {
      const address = networks.get(other)?.addresses[network];
      if (own[network] === undefined || address === undefined) continue;
      const names = other === name && service.hostname !== undefined ? [service.hostname] : [];
      lines.push([address, other, ...new Set([...aliases, ...names])].join(' '));
    }
  }
  return `${lines.join('\n')}\n`;
}

/** Other images' programs by the name of the image; those of the project run on what its packages bring. */
const PROGRAMS: readonly (readonly [RegExp, string])[] = [
  [/^redis:/, 'redis-server'],
  [/^nginx:/, 'nginx'],
  [/^jaegertracing\//, 'jaeger'],
  [/^prom\/prometheus:/, 'prometheus'],
  [/^grafana\//, 'grafana'],
];

function hasProgram({ image, build }: Service): boolean {
  const [, program] = PROGRAMS.find(([pattern]) => pattern.test(image)) ?? [];
  if (build) return true;
  return program !== undefined && spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
}

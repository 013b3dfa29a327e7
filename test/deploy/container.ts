// Runs a service of the compose file as a container engine would, with the machine's own programs in the place of the image's.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type RunningProgram, startProgram } from '../harness/processes.ts';
import { ROOT, type Service, volumeParts } from './compose-file.ts';
import type { ContainerNetwork } from './host-network.ts';
import { imageOf } from './image.ts';

/** A service that runs. */
export interface Container {
  readonly name: string;
  readonly network: ContainerNetwork;
  hasEnded(): boolean;
  /** Everything on both outputs so far. */
  output(): string;
  /** Runs a command inside, as `docker exec` does. */
  exec(command: readonly string[], options?: { asRoot?: boolean }): { status: number | null; output: string };
  /** Runs the health check of the file once. */
  isHealthy(): boolean;
  /** What the kernel says of its first process, by field of /proc/PID/status. */
  status(field: string): string;
  stop(signal?: NodeJS.Signals): Promise<number | string>;
}

/** What a container is made from. */
export interface ContainerOptions {
  readonly name: string;
  readonly service: Service;
  readonly network: ContainerNetwork;
  /** The text of /etc/hosts. */
  readonly hosts: string;
  /** Where its files and those of the named volumes are kept. */
  readonly directory: string;
  /** Where a secret's file lies. */
  readonly secretFile: (name: string) => string;
  /** Replaces paths of the host that the file names, e.g. with those of the test's own secrets. */
  readonly hostPath: (path: string) => string;
}

/** Starts it. */
export function startContainer(options: ContainerOptions): Container {
  const { name, service, network, directory } = options;
  const base = join(directory, 'containers', name);
  mkdirSync(base, { recursive: true });
  const mounts = join(directory, `${name}.mounts`);
  const hosts = join(directory, `${name}.hosts`);
  const environmentFile = join(directory, `${name}.environment`);
  const image = imageOf(service);
  const environment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...image.environment };
  const user = service.user ?? '0:0';
  writeFileSync(hosts, options.hosts);
  writeFileSync(mounts, mountLines(options, hosts, image.mounts, user).join('\n').concat('\n'));
  writeFileSync(
    environmentFile,
    Object.entries({ ...environment, ...service.environment })
      .map(quoted)
      .join(' '),
  );
  const command = [...(service.entrypoint ?? image.entrypoint), ...(service.command ?? [])];
  const inside = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--uts'];
  const script = join(import.meta.dirname, 'container.sh');
  // A file, since a socket, which is what Node.js gives, cannot be opened as /dev/stdout.
  const log = join(directory, `${name}.log`);
  writeFileSync(log, '', { mode: 0o666 });
  chmodSync(log, 0o666);
  const program = startProgram(
    'sh',
    [
      ...['-c', 'log=$1; shift; exec "$@" >>"$log" 2>&1', 'sh', log],
      ...['ip', 'netns', 'exec', network.namespace, ...inside],
      ...['sh', script, base, user, image.workingDirectory, mounts, environmentFile, ...command],
    ],
    {},
  );

  function exec(words: readonly string[], { asRoot = false } = {}): { status: number | null; output: string } {
    const who = asRoot ? [] : userArguments(user);
    const target = String(firstProcess(program));
    const [head, ...tail] = Object.entries({ ...environment, ...service.environment });
    const variables = head ? [head, ...tail].map(([key, value]) => `${key}=${value}`) : [];
    const { status, stdout, stderr } = spawnSync(
      'nsenter',
      ['-t', target, '-m', '-p', '-n', '-r', '--', ...who, 'env', '-i', ...variables, ...words],
      { encoding: 'utf8', timeout: 60_000 },
    );
    return { status, output: stdout + stderr };
  }

  return {
    name,
    network,
    hasEnded: () => program.child.exitCode !== null || program.child.signalCode !== null,
    output: () => readFileSync(log, 'utf8'),
    exec,
    isHealthy() {
      const [kind, ...words] = service.healthcheck?.test ?? ['NONE'];
      if (kind === 'NONE') return firstProcess(program) !== undefined;
      return exec(kind === 'CMD-SHELL' ? ['sh', '-c', words.join(' ')] : words).status === 0;
    },
    status(field) {
      const text = readFileSync(`/proc/${firstProcess(program)}/status`, 'utf8');
      return new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(text)?.[1]?.trim() ?? '';
    },
    async stop(signal = 'SIGTERM') {
      const first = firstProcess(program);
      if (first === undefined) return await program.stop(signal);
      process.kill(first, signal);
      // `unshare` ends as its child does.
      return await program.stop('SIGCONT');
    },
  };
}

/** Lines for container.sh. */
function mountLines(
  { service, directory, secretFile, hostPath }: ContainerOptions,
  hosts: string,
  image: readonly string[],
  user: string,
): string[] {
  const lines = [`ro ${hosts} /etc/hosts`, ...image];
  for (const volume of service.volumes ?? []) {
    const { source, target, isReadOnly } = volumeParts(volume);
    const isNamed = /^[a-z]/.test(source);
    const path = isNamed ? join(directory, 'volumes', source) : hostPath(resolve(ROOT, source));
    if (isNamed) {
      mkdirSync(path, { recursive: true });
      // As a new volume has the owner of the image's directory.
      execFileSync('chown', [user, path]);
    }
    lines.push(`${isReadOnly ? 'ro' : 'bind'} ${path} ${target}`);
  }
  for (const secret of service.secrets ?? []) lines.push(`ro ${secretFile(secret)} /run/secrets/${secret}`);
  for (const entry of service.tmpfs ?? []) {
    const [target = '', mountOptions = ''] = entry.split(':');
    lines.push(`tmpfs ${mountOptions || 'mode=1777'} ${target}`);
  }
  return lines;
}

function userArguments(user: string): string[] {
  const [uid = '', gid = ''] = user.split(':');
  const capabilities = ['--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all'];
  return ['setpriv', '--reuid', uid, '--regid', gid, '--clear-groups', '--no-new-privs', ...capabilities];
}

function quoted([name, value]: readonly [string, string]): string {
  return `'${name}=${String(value).replaceAll("'", "'\\''")}'`;
}

/** The process that the container begins with; undefined: it is gone. */
function firstProcess({ child }: RunningProgram): number | undefined {
  // `ip` and then `unshare` take the place of what was started; the container is its child.
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === child.pid) return Number(entry);
    } catch {
      // It ended meanwhile.
    }
  }
  return undefined;
}

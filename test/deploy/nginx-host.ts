// A host as deploy/nginx/README.md sets one up: the machine's own nginx with its own nginx.conf, ours in conf.d, the mesh on loopback.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually, type RunningProgram, startProgram } from '../harness/processes.ts';
import { ROOT } from './compose-file.ts';
import { createHostNetwork } from './host-network.ts';

/** Addresses of callers: several machines in one network with the host. */
export const CALLERS = ['172.31.255.51', '172.31.255.52', '172.31.255.53', '172.31.255.54'] as const;

/** The address of the host. */
export const SERVER = '172.31.255.20';

/** nginx in front of a mesh, with callers elsewhere. */
export interface NginxHost {
  /** The key of the first start. */
  readonly adminKey: string;
  /** Runs a command on the host itself. */
  onHost(command: readonly string[]): { status: number | null; output: string };
  /** Runs a command where callers are. */
  asCaller(command: readonly string[]): { status: number | null; output: string };
  /** The same without waiting for its end. */
  startAsCaller(command: readonly string[]): RunningProgram;
  /** Names load balancers in front of nginx, and makes nginx read it. */
  trust(lines: string): void;
  stop(): Promise<void>;
}

/** @param config sections of the mesh's configuration file */
export async function startNginxHost(config: Record<string, unknown>): Promise<NginxHost> {
  const directory = mkdtempSync(join(tmpdir(), 'nginx-'));
  const id = `n${process.pid % 10_000}`;
  const network = createHostNetwork(id, { lan: '172.31.255.0/24' });
  const server = network.addContainer('server', { lan: { ipv4_address: SERVER } }).namespace;
  const caller = network.addContainer('caller', { lan: { ipv4_address: CALLERS[0] } }).namespace;
  for (const address of CALLERS.slice(1)) {
    execFileSync('ip', ['-n', caller, 'addr', 'add', `${address}/24`, 'dev', 'eth0']);
  }
  for (const name of ['tls', 'proxies', 'conf.d', 'acme']) mkdirSync(join(directory, name));
  const tls = (name: string): string => join(directory, 'tls', name);
  execFileSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
    ...['-subj', '/CN=localhost', '-keyout', tls('privkey.pem'), '-out', tls('fullchain.pem')],
  ]);
  for (const name of ['inference-mesh.conf', 'upstream-host.conf']) {
    writeFileSync(join(directory, 'conf.d', name), readFileSync(join(ROOT, 'deploy/nginx', name)));
  }
  writeFileSync(join(directory, 'mesh.json'), JSON.stringify(config));

  // Into files: a full pipe would stop nginx while a test waits for a command.
  const logs: string[] = [];
  const inServer = (command: readonly string[]): RunningProgram => {
    const log = join(directory, `${logs.length}.log`);
    logs.push(log);
    const toLog = ['-c', 'log=$1; shift; exec "$@" >>"$log" 2>&1', 'sh', log];
    return startProgram('sh', [...toLog, 'ip', 'netns', 'exec', server, ...command], {}, directory);
  };
  const run = (namespace: string, command: readonly string[]): { status: number | null; output: string } => {
    const { status, stdout, stderr } = spawnSync('ip', ['netns', 'exec', namespace, ...command], {
      ...{ encoding: 'utf8', timeout: 30_000, maxBuffer: 2 ** 26 },
    });
    return { status, output: stdout + stderr };
  };
  const node = ['sh', join(ROOT, 'bin/node.sh')];
  const mounts = [
    ['tls', '/etc/nginx/tls'],
    ['proxies', '/etc/nginx/inference-mesh-proxies'],
  ].map(([from, to]) => `mkdir -p ${to} && mount --bind ${join(directory, from ?? '')} ${to}`);
  const script = [
    // Directories that this machine lacks are made on a layer of this namespace.
    `mkdir ${directory}/layer && mount -t tmpfs tmpfs ${directory}/layer && mkdir ${directory}/layer/u ${directory}/layer/w`,
    `mount -t overlay overlay -o lowerdir=/etc/nginx,upperdir=${directory}/layer/u,workdir=${directory}/layer/w /etc/nginx`,
    `mkdir /etc/nginx/inference-mesh && mount --bind ${join(ROOT, 'deploy/nginx')} /etc/nginx/inference-mesh`,
    `mount --bind ${directory}/conf.d /etc/nginx/conf.d`,
    `mkdir -p /etc/nginx/sites-enabled && mount -t tmpfs tmpfs /etc/nginx/sites-enabled`,
    ...mounts,
    'mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/log/nginx',
    "exec nginx -g 'daemon off; error_log stderr;'",
  ].join(' && ');
  const programs = [
    inServer([...node, join(import.meta.dirname, 'held-engine.ts'), '9000']),
    inServer([...node, join(ROOT, 'services/main.ts'), '--config', 'mesh.json', '--data-dir', 'data']),
    inServer(['unshare', '--mount', 'sh', '-c', script]),
  ];
  const nginx = programs[2];
  const stop = async (): Promise<void> => {
    for (const program of programs.reverse()) await program.stop('SIGTERM').catch(() => undefined);
    network.remove();
    rmSync(directory, { recursive: true, force: true });
  };
  const outputs = (): string => logs.map((log) => readFileSync(log, 'utf8')).join('\n---\n');
  const ready = ['curl', '-sk', '-o', '/dev/null', '-w', '%{http_code}', 'https://127.0.0.1/readyz'];
  await eventually('nginx says that the mesh is ready', () => run(server, ready).output === '200').catch(
    async (error: unknown) => {
      const shown = outputs();
      await stop();
      throw new Error(`nginx and mesh do not become ready:\n${shown}`, { cause: error });
    },
  );
  return {
    adminKey: readFileSync(join(directory, 'data/admin.key'), 'utf8').trim(),
    onHost: (command) => run(server, command),
    asCaller: (command) => run(caller, command),
    startAsCaller: (command) => startProgram('ip', ['netns', 'exec', caller, ...command], {}),
    trust(lines) {
      writeFileSync(join(directory, 'proxies/balancer.conf'), lines);
      // Read by the master process; what runs on the old workers goes on.
      nginx?.child.kill('SIGHUP');
    },
    stop,
  };
}

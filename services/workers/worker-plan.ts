import { ConfigError } from '../shared/lifecycle/config-source.ts';
import { ROLES, type Role } from '../shared/transport/roles.ts';

/** What of a configuration is split between the process that was started and its workers. */
export interface SplitConfig {
  readonly roles: ReadonlySet<Role>;
  readonly port: number;
  readonly bindHost: string;
  readonly peers: ReadonlyMap<Role, string>;
  readonly routers: readonly string[];
  readonly server: {
    readonly host: string;
    readonly workers: number;
    readonly worker_port?: number | undefined;
    readonly max_connections: number;
    readonly mesh_tls?: object | undefined;
    readonly advertise_url?: string | undefined;
  };
  readonly observability: object;
}

/** Where the processes of one start talk to each other. */
export interface InternalAddresses {
  /** What their internal ports are bound to. */
  readonly host: string;
  /** The port of the process that was started, then one for each worker. */
  readonly ports: readonly [number, ...number[]];
}

/** What a worker runs; everything else stays where it is once. */
const WORKER_ROLES: ReadonlySet<Role> = new Set(['router', 'facade']);

/**
 * Refuses workers where they cannot work.
 *
 * @throws ConfigError that names the field and what to do.
 */
export function requireWorkable({
  roles,
  port,
  routers,
  server,
}: Omit<SplitConfig, 'bindHost' | 'observability'>): void {
  const { workers, worker_port: first } = server;
  if (workers === 1) {
    if (first === undefined) return;
    throw new ConfigError('server.worker_port: there are no workers; set server.workers to 2 or more, or leave it out');
  }
  if (process.platform !== 'linux') {
    throw new ConfigError(
      'server.workers: this system does not share a port among processes as Linux does; set it to 1',
    );
  }
  for (const role of WORKER_ROLES) {
    if (roles.has(role)) continue;
    throw new ConfigError(
      `server.workers: each worker runs router and facade, and MESH_ROLES lacks '${role}' here: add it, or set server.workers to 1`,
    );
  }
  if (first === undefined) {
    if (roles.has('inference') && routers.length === 0) return;
    throw new ConfigError(
      'server.worker_port: must be set, because engines or routers run elsewhere: they reach workers at ports that they know',
    );
  }
  const last = first + workers;
  if (last > 65_535) throw new ConfigError(`server.worker_port: ${workers} workers need ports up to ${last}`);
  if (port < first || port > last) return;
  throw new ConfigError(`server.worker_port: ports ${first} to ${last} include the public one, ${port}; name others`);
}

/** The address of one of the processes for the others. */
function addressOf(config: SplitConfig, { host, ports }: InternalAddresses, index: number): string {
  const name = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host;
  const scheme = config.server.mesh_tls ? 'https' : 'http';
  return `${scheme}://${name.includes(':') ? `[${name}]` : name}:${ports[index]}`;
}

/** What the process that was started runs itself: all but the facade, for its workers and for the tasks of its own. */
export function parentConfig<C extends SplitConfig>(config: C, addresses: InternalAddresses): C {
  const workers = addresses.ports.slice(1).map((_port, index) => addressOf(config, addresses, index + 1));
  return {
    ...config,
    roles: new Set([...config.roles].filter((role) => role !== 'facade')),
    port: addresses.ports[0],
    bindHost: addresses.host,
    routers: [...config.routers, ...workers.filter((url) => !config.routers.includes(url))],
  };
}

/** What a worker runs. */
export function workerConfig<C extends SplitConfig>(config: C, addresses: InternalAddresses, publicPort: number): C {
  const parent = addressOf(config, addresses, 0);
  const here = ROLES.filter((role) => config.roles.has(role) && !WORKER_ROLES.has(role));
  const { server } = config;
  return {
    ...config,
    roles: WORKER_ROLES,
    port: publicPort,
    peers: new Map([...config.peers, ...here.map((role) => [role, parent] as const)]),
    routers: [],
    server: { ...server, max_connections: Math.ceil(server.max_connections / server.workers) },
  };
}

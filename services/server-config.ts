import { resolve } from 'node:path';
import { z } from 'zod';
import { isAddressRange } from './shared/interceptors/client-ip.ts';
import { ConfigError } from './shared/lifecycle/config-source.ts';
import { ROLES } from './shared/transport/roles.ts';

/** The section `server` of the configuration file: what belongs to the process and not to one service. */
export const serverConfigSchema = z.strictObject({
  /** Bind address. */
  host: z.string().min(1).default('127.0.0.1'),
  /** The one port of the process. 0 picks a free one and prints it. Unset: 8000, or the port of the first role. */
  port: z.int().min(0).max(65_535).optional(),
  /** Where routers reach this process when they run elsewhere, e.g. "http://10.0.0.7:7004". Unset: from host and port. */
  advertise_url: z.url({ protocol: /^https?$/ }).optional(),
  /** Store, keys, sockets. */
  data_dir: z.string().min(1).default('.mesh'),
  /** Which services this process runs. */
  roles: z
    .union([z.literal('all'), z.array(z.enum(ROLES)).min(1)], `expected "all" or a list of ${ROLES.join(', ')}`)
    .default('all'),
  /** Shared secret between processes without mutual TLS. Unset: a file in the data directory that local processes share. */
  mesh_token: z.string().min(32).optional(),
  /** TLS on the public port: PEM files, relative to the working directory. Unset: none. */
  tls: z.strictObject({ cert: z.string().min(1), key: z.string().min(1) }).optional(),
  /** Mutual TLS between processes: PEM files, relative to the working directory. With it the token proves nothing. */
  mesh_tls: z
    .strictObject({
      cert: z.string().min(1),
      key: z.string().min(1),
      ca: z.string().min(1),
      /** What stands behind the role in the names of certificates, e.g. "auth.mesh". */
      domain: z
        .string()
        .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i, 'expected a domain name')
        .default('mesh'),
    })
    .optional(),
  /** Addresses and CIDR ranges of proxies besides loopback whose X-Forwarded-For is believed. */
  trusted_proxies: z.array(z.string().refine(isAddressRange, 'expected an IP address or a CIDR range')).default([]),
  /**
   * Whether callers elsewhere must come over HTTPS; a trusted proxy says so by X-Forwarded-Proto. For the public port. Unset:
   * where it has a certificate.
   */
  require_https: z.boolean().optional(),
  /** Names by which callers may address the server, without ports. Unset: on loopback its own and those of proxies, else all. */
  allowed_hosts: z.array(z.string().regex(/^[\w.-]+$/, 'expected a host name without a port')).optional(),
  /** Browser origins that may call. */
  cors_origins: z.array(z.string().min(1)).default(['*']),
  /** How many processes of router and facade share the public port; everything else runs once beside them. 1: no others. */
  workers: z.int().min(1).max(64).default(1),
  /**
   * The first of `workers` + 1 consecutive ports on `host` where processes elsewhere reach this one and then each worker's router.
   * Unset: free ones on loopback, for what this start runs itself.
   */
  worker_port: z.int().min(1).max(65_535).optional(),
  /** Connections at a time on the port; more are closed at once. */
  max_connections: z.int().min(10).max(1_000_000).default(20_000),
  /** How long connections of HTTP/2 on the public port live, e.g. those of gRPC clients. */
  http2: z
    .strictObject({
      /** After this time, ± 10 %, a client is told to open its next calls on another connection, in seconds. Unset: never. */
      max_age_seconds: z.number().min(1).max(2_592_000).optional(),
      /** How often a client for which something runs is asked whether it is still there, in seconds. */
      ping_seconds: z.number().min(1).max(86_400).default(30),
      /** How long it has to answer before its connection is cut, in seconds. */
      ping_timeout_seconds: z.number().min(1).max(600).default(20),
    })
    .prefault({}),
  /** How long a caller waits for the shared store before it is told that it does not answer, in milliseconds. */
  store_timeout_ms: z.int().min(10).max(60_000).default(200),
  /**
   * How long a process that was told to end goes on as before, in seconds, while it says that it is not ready and tells callers to
   * open new connections: as long as what stands before it takes to notice. Before `drain_seconds`.
   */
  drain_grace_seconds: z.number().min(0).max(3_600).default(0),
  /** How long running streams get after SIGTERM, in seconds. */
  drain_seconds: z.number().min(0).max(86_400).default(30),
});

/** See serverConfigSchema. */
export type ServerConfig = z.output<typeof serverConfigSchema>;

/** The same with every path from the root. */
export function withAbsolutePaths(server: ServerConfig, workingDirectory: string): ServerConfig {
  const absolute = (path: string): string => resolve(workingDirectory, path);
  const { data_dir: dataDir, tls, mesh_tls: meshTls } = server;
  return {
    ...server,
    data_dir: absolute(dataDir),
    tls: tls && { cert: absolute(tls.cert), key: absolute(tls.key) },
    mesh_tls: meshTls && {
      ...meshTls,
      cert: absolute(meshTls.cert),
      key: absolute(meshTls.key),
      ca: absolute(meshTls.ca),
    },
  };
}

/** A certificate without its key, or the reverse, must not end in a port without TLS. */
export function requireCertificatePair({ MESH_TLS_CERT: cert, MESH_TLS_KEY: key }: NodeJS.ProcessEnv): void {
  if (Boolean(cert) === Boolean(key)) return;
  throw new ConfigError('MESH_TLS_CERT, MESH_TLS_KEY: set both, or neither');
}

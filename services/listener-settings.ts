import type { Logger } from 'pino';
import type { ServerConfig } from './server-config.ts';
import { httpsRuleOf } from './shared/interceptors/https-rule.ts';
import type { ListenerOptions } from './shared/transport/listener.ts';
import { isLoopbackHost } from './shared/transport/loopback.ts';
import { openPublicTls } from './shared/transport/public-tls.ts';

/** What of the section `server` a listener is made with. */
type ListenerSettings = Pick<
  ListenerOptions,
  | 'host'
  | 'maxConnections'
  | 'corsOrigins'
  | 'trustedProxies'
  | 'allowedHosts'
  | 'httpsRule'
  | 'publicTls'
  | 'isForPeers'
  | 'lifetime'
  | 'isShared'
>;

/**
 * Tells a listener what the section `server` says.
 *
 * @param isPublic whether callers use the port, besides processes of the mesh
 * @param bindHost what the port is bound to
 * @throws ConfigError for a certificate or a key that cannot be used
 */
export function listenerSettings(
  server: ServerConfig,
  isPublic: boolean,
  log: Logger,
  bindHost = server.host,
): ListenerSettings {
  const { http2 } = server;
  return {
    host: bindHost,
    maxConnections: server.max_connections,
    corsOrigins: server.cors_origins,
    trustedProxies: server.trusted_proxies,
    // Callers' names; processes of the mesh have their own for a port that only they use.
    allowedHosts: isPublic || (isLoopbackHost(server.host) && server.workers === 1) ? server.allowed_hosts : undefined,
    isForPeers: !isPublic,
    lifetime: {
      maxAgeMs: http2.max_age_seconds === undefined ? undefined : http2.max_age_seconds * 1_000,
      pingIntervalMs: http2.ping_seconds * 1_000,
      pingTimeoutMs: http2.ping_timeout_seconds * 1_000,
    },
    ...(isPublic && {
      isShared: server.workers > 1,
      httpsRule: httpsRuleOf(server),
      publicTls: server.tls && openPublicTls(server.tls, log),
    }),
  };
}

/** Where other processes reach this one: as configured, else from what it binds. `port` is the one that it listens on. */
export function advertisedUrl(
  { host, advertise_url: given, mesh_tls: tls }: Pick<ServerConfig, 'host' | 'advertise_url' | 'mesh_tls'>,
  port: number,
): string {
  return given ?? `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

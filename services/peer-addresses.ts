import { ConfigError } from './shared/lifecycle/config-source.ts';
import { ROLES, type Role } from './shared/transport/roles.ts';
import { NAME_PREFIX } from './shared/transport/router-sources.ts';

/** Where other processes of the mesh are. */
export interface PeerAddresses {
  /** One address for each role that was named; of several routers the first. */
  readonly peers: ReadonlyMap<Role, string>;
  /** All routers that were named, each once; "dns+http://routers:7003" stands for all that are behind a name. */
  readonly routers: readonly string[];
}

/**
 * Reads `MESH_PEER_<ROLE>`.
 *
 * @throws ConfigError for what is no address, and for several where only one can be used.
 */
export function readPeerAddresses(env: NodeJS.ProcessEnv): PeerAddresses {
  const peers = new Map<Role, string>();
  const routers = new Set<string>();
  for (const role of ROLES) {
    const name = `MESH_PEER_${role.toUpperCase()}`;
    const text = env[name];
    if (!text) continue;
    for (const url of role === 'router' ? text.split(',').map((part) => part.trim()) : [text]) {
      const isName = role === 'router' && url.startsWith(NAME_PREFIX);
      const address = url.slice(isName ? NAME_PREFIX.length : 0).replace(/\/$/, '');
      if (!/^https?:\/\/[^/,]+$/.test(address)) {
        throw new ConfigError(`${name}: expected http://host:port or https://host:port, got ${JSON.stringify(url)}`);
      }
      if (role === 'router') routers.add(isName ? `${NAME_PREFIX}${address}` : address);
      if (!peers.has(role)) peers.set(role, address);
    }
  }
  return { peers, routers: [...routers] };
}

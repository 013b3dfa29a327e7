import { direct } from './direct.ts';
import { haproxy } from './haproxy.ts';
import { litellm } from './litellm.ts';
import { mesh, meshApart, meshSplit } from './mesh.ts';
import { nginx } from './nginx.ts';
import { nodeProxy } from './node-proxy.ts';
import type { Peer } from './peer.ts';
import { portkey } from './portkey.ts';

/** In the order of the tables. */
export const PEERS: readonly Peer[] = [direct, nginx, haproxy, nodeProxy, portkey, litellm, mesh, meshSplit, meshApart];

/** Those that this machine can run, and why it cannot run the others. */
export function availablePeers(wanted: readonly Peer[]): { peers: Peer[]; missing: Record<string, string> } {
  const missing: Record<string, string> = {};
  for (const peer of wanted) {
    const lacks = peer.missing?.();
    if (lacks === undefined) continue;
    missing[peer.name] = lacks;
    console.error(`${peer.name} is left out: ${lacks}`);
  }
  return { peers: wanted.filter(({ name }) => !(name in missing)), missing };
}

import type { IncomingHttpHeaders } from 'node:http';
import { BlockList, isIP } from 'node:net';

/** The part of a request that tells where it comes from. */
export interface Origin {
  readonly headers: IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined };
}

/**
 * Makes the function that finds the real address of a client: the rightmost address that no trusted proxy holds.
 * It returns undefined for loopback without a proxy in front, which limits per address exempt.
 *
 * @param trustedProxies addresses and CIDR networks, besides loopback.
 * @throws RangeError when one of them is neither.
 */
export function clientIpFinder(trustedProxies: readonly string[]): (request: Origin) => string | undefined {
  const trusted = trustedNetworks(trustedProxies);
  const isTrusted = (address: string): boolean => trusted.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
  return (request) => {
    const peer = plainAddress(request.socket.remoteAddress ?? '');
    if (isIP(peer) === 0) return undefined;
    if (!isTrusted(peer)) return peer;
    const chain = request.headers['x-forwarded-for'];
    if (chain === undefined) return loopback.check(peer, isIP(peer) === 6 ? 'ipv6' : 'ipv4') ? undefined : peer;
    return nearestUntrusted(chain, isTrusted) ?? peer;
  };
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8);
loopback.addAddress('::1', 'ipv6');

function nearestUntrusted(header: string | string[], isTrusted: (address: string) => boolean): string | undefined {
  const hops = (Array.isArray(header) ? header.join(',') : header).split(',');
  let last: string | undefined;
  for (let index = hops.length - 1; index >= 0; index -= 1) {
    const hop = plainAddress((hops[index] ?? '').trim());
    // What stands left of an entry that is no address was not written by a proxy of ours.
    if (isIP(hop) === 0) return last;
    last = hop;
    if (!isTrusted(hop)) return hop;
  }
  return last;
}

/** "::ffff:10.0.0.1" → "10.0.0.1", "[::1]:80" → "::1". */
function plainAddress(address: string): string {
  const bare = address.replace(/^\[([^\]]+)\](?::\d+)?$/, '$1').replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1');
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(bare) ? bare.slice(7) : bare;
}

function trustedNetworks(networks: readonly string[]): BlockList {
  const list = new BlockList();
  list.addSubnet('127.0.0.0', 8);
  list.addAddress('::1', 'ipv6');
  for (const network of networks) {
    const [address = '', prefix] = network.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    const bits = prefix === undefined ? (family === 'ipv6' ? 128 : 32) : Number(prefix);
    if (isIP(address) === 0 || !Number.isInteger(bits)) {
      throw new RangeError(`trusted_proxies: "${network}" is neither an address nor a network`);
    }
    list.addSubnet(address, bits, family);
  }
  return list;
}

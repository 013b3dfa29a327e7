import type { IncomingHttpHeaders } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { createContextKey } from '@connectrpc/connect';

/** The real address of an RPC's caller; unset in process. */
export const clientIpKey = createContextKey<string | undefined>(undefined, { description: "the caller's address" });

/** What of a request tells where it came from. */
export interface AddressedRequest {
  readonly headers: IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined };
}

/**
 * Makes the function that finds the real address of a caller: the last hop of X-Forwarded-For that is no trusted proxy,
 * and the socket's address when that is none. A header from anyone else is not believed.
 *
 * @param trustedProxies addresses and CIDR ranges besides loopback, which is always one
 * @throws Error naming an entry that is neither
 */
export function createClientIp(trustedProxies: readonly string[]): (request: AddressedRequest) => string | undefined {
  const isTrusted = createTrust([...LOOPBACK, ...trustedProxies]);
  return (request) => {
    let address = plain(request.socket.remoteAddress);
    const header = request.headers['x-forwarded-for'];
    if (header === undefined || address === undefined || !isTrusted(address)) return address;
    const hops = (typeof header === 'string' ? header : header.join(',')).split(',');
    for (const hop of hops.reverse()) {
      const next = plain(hop.trim());
      // What stands before a malformed hop was written by nobody we know.
      if (next === undefined) return address;
      address = next;
      if (!isTrusted(address)) return address;
    }
    return address;
  };
}

/** The addresses of this machine alone. */
export const LOOPBACK: readonly string[] = ['127.0.0.0/8', '::1'];

/**
 * Makes the function that tells whether an address, as a socket has it, is among addresses and CIDR ranges.
 *
 * @throws Error naming an entry that is neither
 */
export function createTrust(entries: readonly string[]): (address: string | undefined) => boolean {
  const list = new BlockList();
  for (const entry of entries) addEntry(list, entry);
  return (written) => {
    const address = plain(written);
    return address !== undefined && list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
  };
}

/** Whether an entry of `trustedProxies` is an address or a CIDR range. */
export function isAddressRange(entry: string): boolean {
  try {
    addEntry(new BlockList(), entry);
    return true;
  } catch {
    // Its only failure is the answer.
    return false;
  }
}

/** An IPv4 address that arrived on an IPv6 socket is written as what it is; undefined for what is no address. */
function plain(address: string | undefined): string | undefined {
  if (address === undefined) return undefined;
  const short = address.startsWith('::ffff:') ? address.slice(7) : address;
  return isIP(short) ? short : undefined;
}

function addEntry(list: BlockList, entry: string): void {
  const [address = '', prefix] = entry.split('/');
  const version = isIP(address);
  const bits = prefix === undefined ? (version === 6 ? 128 : 32) : Number(prefix);
  if (version === 0 || !Number.isInteger(bits) || bits < 0 || bits > (version === 6 ? 128 : 32)) {
    throw new Error(`trusted proxy "${entry}" is neither an address nor a CIDR range`);
  }
  list.addSubnet(address, bits, version === 6 ? 'ipv6' : 'ipv4');
}

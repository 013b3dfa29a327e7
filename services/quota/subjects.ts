import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { CredentialKind, type Principal } from '../../gen/mesh/auth/v1/principal_pb.ts';

/** Whose consumption limits count, in the order in which refusals name them. */
export const SCOPES = ['tier', 'key', 'user', 'organization', 'model', 'engine', 'client_ip'] as const;

export type ScopeName = (typeof SCOPES)[number];

/** Who and what asks for admission. */
export interface Asker {
  readonly principal: Principal;
  /** Empty: unknown; limits per address do not apply. */
  readonly clientIp: string;
  /** The underlying model, under which consumption counts. Empty: none. */
  readonly model: string;
  /** Its other names, by which limits may name it. */
  readonly modelNames: readonly string[];
  /** Empty: none. */
  readonly engine: string;
}

const LOOPBACK = loopback();

/** Whose counter a scope has for this caller; undefined: none, its limits do not apply. */
export function subjectOf(scope: ScopeName, { principal, clientIp, model, engine }: Asker): string | undefined {
  switch (scope) {
    case 'tier':
      // Each login makes a new token, so tokens count under their user.
      return isToken(principal) ? `user:${principal.userId}` : `key:${principal.keyId}`;
    case 'key':
      return isToken(principal) ? undefined : principal.keyId || undefined;
    case 'user':
      return principal.userId || undefined;
    case 'organization':
      return principal.organizationId || undefined;
    case 'model':
      return model || undefined;
    case 'engine':
      return engine || undefined;
    case 'client_ip':
      return addressOf(clientIp);
  }
}

/**
 * What an address counts under: loopback not at all, IPv6 by its /64, because that is what one customer has.
 *
 * @returns undefined for loopback and for what is no address
 */
export function addressOf(clientIp: string): string | undefined {
  if (isIPv4(clientIp)) return clientIp.startsWith('127.') ? undefined : clientIp;
  if (!isIPv6(clientIp) || LOOPBACK.check(clientIp, 'ipv6')) return undefined;
  return `${groupsOf(clientIp).slice(0, 4).join(':')}::/64`;
}

function isToken(principal: Principal): boolean {
  return principal.kind === CredentialKind.ACCESS_TOKEN;
}

/** The eight groups of an IPv6 address without leading zeros. */
function groupsOf(address: string): string[] {
  // The URL parser writes every form of an address in one way.
  const [head = '', tail] = new URL(`http://[${address.split('%')[0]}]`).hostname.slice(1, -1).split('::');
  const left = head.split(':').filter(Boolean);
  const right = (tail ?? '').split(':').filter(Boolean);
  return tail === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
}

function loopback(): BlockList {
  const list = new BlockList();
  list.addSubnet('127.0.0.0', 8, 'ipv4');
  list.addAddress('::1', 'ipv6');
  return list;
}

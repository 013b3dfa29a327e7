import { isIP } from 'node:net';

/**
 * What one customer of a provider holds, for limits by address: an IPv4 address itself, of an IPv6 address its first 64
 * bits. Anything else stays what it is.
 */
export function networkOf(address: string): string {
  const plain = plainAddress(address);
  if (isIP(plain) !== 6) return plain;
  // The way a URL writes it is the one canonical form, in hexadecimal throughout.
  const canonical = new URL(`http://[${plain.replace(/%.*$/, '')}]`).hostname.slice(1, -1);
  const [head = [], tail] = canonical.split('::').map((part) => (part === '' ? [] : part.split(':')));
  const groups = tail === undefined ? [...head] : [...head, ...Array(8 - head.length - tail.length).fill('0'), ...tail];
  return `${groups.slice(0, 4).join(':')}::/64`;
}

/** A socket that listens on IPv6 shows IPv4 peers as "::ffff:192.0.2.1". */
export function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}

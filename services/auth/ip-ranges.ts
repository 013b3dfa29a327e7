import { BlockList, isIP, isIPv4 } from 'node:net';

/** Whether a text is a range of addresses in CIDR form, e.g. "10.0.0.0/8", or one address. */
export function isIpRange(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

/** Whether an address lies in one of the ranges. An unknown address lies in none. */
export function isInRanges(address: string, ranges: readonly string[]): boolean {
  const plain = plainAddress(address);
  if (isIP(plain) === 0) return false;
  const list = new BlockList();
  for (const range of ranges) {
    const [start = '', bits] = range.split('/');
    const family = isIPv4(start) ? 'ipv4' : 'ipv6';
    list.addSubnet(start, bits === undefined ? (family === 'ipv4' ? 32 : 128) : Number(bits), family);
  }
  return list.check(plain, isIPv4(plain) ? 'ipv4' : 'ipv6');
}

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
function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '');
}

import { expect, test } from 'vitest';
import { createClientIp } from './client-ip.ts';

const find = createClientIp(['10.0.0.0/8', '2001:db8::1']);
const request = (remoteAddress: string, forwarded?: string) => ({
  headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
  socket: { remoteAddress },
});

test.each([
  ['no proxy', request('203.0.113.7'), '203.0.113.7'],
  ['loopback itself', request('127.0.0.1'), '127.0.0.1'],
  ['a forged header from a stranger', request('203.0.113.7', '1.1.1.1'), '203.0.113.7'],
  ['a trusted proxy', request('127.0.0.1', '198.51.100.2'), '198.51.100.2'],
  ['a chain of trusted proxies', request('10.0.0.1', '198.51.100.2, 10.1.1.1'), '198.51.100.2'],
  ['a client that forged a hop before the proxy', request('10.0.0.1', '1.1.1.1, 198.51.100.2'), '198.51.100.2'],
  ['IPv4 on an IPv6 socket', request('::ffff:127.0.0.1', '198.51.100.2'), '198.51.100.2'],
  ['IPv6', request('2001:db8::1', '2001:db8::5'), '2001:db8::5'],
  ['nonsense', request('10.0.0.1', 'unknown'), '10.0.0.1'],
])('%s', (_name, from, expected) => {
  expect(find(from)).toBe(expected);
});

test('an entry that is no address is refused by name', () => {
  for (const entry of ['proxy.example', '10.0.0.0/33', '10.0.0.0/x', '']) {
    expect(() => createClientIp([entry])).toThrow(`"${entry}"`);
  }
});

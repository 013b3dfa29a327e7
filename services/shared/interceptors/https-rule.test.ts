import { expect, test } from 'vitest';
import { createHttpsRule } from './https-rule.ts';

const isRefused = createHttpsRule(['10.0.0.0/8']);

function request(remoteAddress: string | undefined, headers: Record<string, string> = {}, encrypted = false) {
  return { headers, socket: { remoteAddress, ...(encrypted ? { encrypted } : {}) } };
}

test.each([
  ['from this machine', request('127.0.0.1')],
  ['from this machine over IPv6', request('::1')],
  ['from this machine on an IPv6 socket', request('::ffff:127.0.0.1')],
  ['over TLS', request('203.0.113.7', {}, true)],
  ['through a trusted proxy that says so', request('10.0.0.1', { 'x-forwarded-proto': 'https' })],
  [
    'through a proxy on loopback that says so',
    request('127.0.0.1', { 'x-forwarded-for': '203.0.113.7', 'x-forwarded-proto': 'HTTPS' }),
  ],
  [
    'through two proxies that say so',
    request('10.0.0.1', { 'x-forwarded-for': '203.0.113.7, 10.0.0.2', 'x-forwarded-proto': 'https, https' }),
  ],
])('%s it is taken', (_name, from) => {
  expect(isRefused(from)).toBe(false);
});

test.each([
  ['plain', request('203.0.113.7')],
  ['from nobody knows where', request(undefined)],
  ['from a stranger who says so', request('203.0.113.7', { 'x-forwarded-proto': 'https' })],
  ['through a trusted proxy that says nothing', request('10.0.0.1', { 'x-forwarded-for': '203.0.113.7' })],
  ['through a proxy on loopback that says nothing', request('127.0.0.1', { 'x-forwarded-for': '203.0.113.7' })],
  [
    'through a proxy that adds its word to the forged one',
    request('10.0.0.1', { 'x-forwarded-for': '203.0.113.7', 'x-forwarded-proto': 'https, http' }),
  ],
])('%s it is refused', (_name, from) => {
  expect(isRefused(from)).toBe(true);
});

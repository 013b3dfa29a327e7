import { expect, test } from 'vitest';
import { readPeerAddresses } from './peer-addresses.ts';

test('each role has one address; an inference node may know several routers', () => {
  const env = { MESH_PEER_AUTH: 'http://auth:7001/', MESH_PEER_ROUTER: 'http://a:7003, http://b:7003/,http://a:7003' };
  const { peers, routers } = readPeerAddresses(env);
  expect([...peers]).toEqual([
    ['auth', 'http://auth:7001'],
    ['router', 'http://a:7003'],
  ]);
  expect(routers).toEqual(['http://a:7003', 'http://b:7003']);
  expect(readPeerAddresses({})).toEqual({ peers: new Map(), routers: [] });
});

test('a name stands for all routers behind it; who calls one calls any of them', () => {
  const { peers, routers } = readPeerAddresses({ MESH_PEER_ROUTER: 'dns+https://routers:7003/,http://b:7003' });
  expect(routers).toEqual(['dns+https://routers:7003', 'http://b:7003']);
  expect(peers.get('router')).toBe('https://routers:7003');
});

test.each([
  [{ MESH_PEER_AUTH: 'dns+http://auth:7001' }, /^MESH_PEER_AUTH: expected/],
  [{ MESH_PEER_ROUTER: 'dns+routers:7003' }, /got "dns\+routers:7003"/],
  [{ MESH_PEER_ROUTER: 'http://a:7003,' }, /^MESH_PEER_ROUTER: expected .* got ""$/],
  [{ MESH_PEER_ROUTER: 'http://a:7003,b:7003' }, /got "b:7003"/],
  [{ MESH_PEER_AUTH: 'http://a:7001,b:7001' }, /^MESH_PEER_AUTH: expected/],
])('%j is refused by name', (env, message) => {
  expect(() => readPeerAddresses(env)).toThrow(message);
});

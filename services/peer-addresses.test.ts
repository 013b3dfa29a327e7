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

test.each([
  [{ MESH_PEER_ROUTER: 'http://a:7003,' }, /^MESH_PEER_ROUTER: expected .* got ""$/],
  [{ MESH_PEER_ROUTER: 'http://a:7003,b:7003' }, /got "b:7003"/],
  [{ MESH_PEER_AUTH: 'http://a:7001,b:7001' }, /^MESH_PEER_AUTH: expected/],
])('%j is refused by name', (env, message) => {
  expect(() => readPeerAddresses(env)).toThrow(message);
});

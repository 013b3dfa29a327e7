import { expect, test } from 'vitest';
import { availablePeers } from './all.ts';
import type { Peer } from './peer.ts';

const start = () => Promise.reject(new Error('not started here'));

test('a peer that the machine lacks is left out and the reason kept; the others stay in order', () => {
  const there: Peer = { name: 'there', start, missing: () => undefined };
  const always: Peer = { name: 'always', start };
  const lacking: Peer = { name: 'lacking', start, missing: () => 'apt-get install lacking' };
  const { peers, missing } = availablePeers([there, lacking, always]);
  expect(peers.map(({ name }) => name)).toEqual(['there', 'always']);
  expect(missing).toEqual({ lacking: 'apt-get install lacking' });
});

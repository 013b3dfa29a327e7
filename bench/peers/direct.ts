import type { Peer } from './peer.ts';

/** No gateway: what engine, load client and loopback cost by themselves. */
export const direct: Peer = {
  name: 'direct',
  start: async ({ enginePort }) => ({ port: enginePort, token: 'unchecked' }),
};

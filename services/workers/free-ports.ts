import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { PortUnavailable } from '../shared/transport/listener.ts';

/** Ports of an address that are free at the moment, all different. */
export async function freePorts(count: number, host: string): Promise<number[]> {
  const servers: Server[] = [];
  try {
    for (let index = 0; index < count; index += 1) {
      const server = createServer().listen({ port: 0, host, exclusive: true });
      servers.push(server);
      await once(server, 'listening');
    }
    return servers.map((server) => (server.address() as AddressInfo).port);
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

/**
 * The port that workers are to share; for 0 one that is free. Those who share a port keep nobody of the same user from joining
 * them, another mesh above all: so it is tried alone before.
 *
 * @throws PortUnavailable.
 */
export async function publicPort(host: string, port: number): Promise<number> {
  const server = createServer().listen({ port, host });
  try {
    await once(server, 'listening');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new PortUnavailable(`cannot listen on ${host}:${port} (${code})`, { cause: error });
  }
  const address = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return address.port;
}

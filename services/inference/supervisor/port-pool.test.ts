import { createServer, type Server } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createPortPool, NoFreePortError } from './port-pool.ts';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

/** Listens on a port, 0 for any; returns it. */
async function listen(port: number, host = '127.0.0.1'): Promise<number> {
  const server = createServer();
  servers.push(server);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return (server.address() as { port: number }).port;
}

test('ports are given that an engine can listen on, and never twice', async () => {
  const pool = createPortPool();
  const [some, others] = await Promise.all([pool.take(5), pool.take(5)]);
  expect(new Set([...some, ...others]).size).toBe(10);
  for (const port of [...some, ...others]) expect(await listen(port)).toBe(port);
  expect(await pool.take(0)).toEqual([]);
});

test.each(['127.0.0.1', '0.0.0.0', '::'])('a port that somebody listens on is not given (%s)', async (host) => {
  const [port = 0] = await createPortPool().take(1);
  await listen(port, host);
  const pool = createPortPool({ ports: { first: port, end: port + 1 } });
  await expect(pool.take(1)).rejects.toThrow(NoFreePortError);
});

test('a released port rests before it is given again', async () => {
  const [port = 0] = await createPortPool().take(1);
  let now = 0;
  const pool = createPortPool({ ports: { first: port, end: port + 1 }, quarantineMs: 60_000, now: () => now });
  expect(await pool.take(1)).toEqual([port]);
  await expect(pool.take(1)).rejects.toThrow(NoFreePortError);
  pool.release([port]);
  now = 59_999;
  await expect(pool.take(1)).rejects.toThrow(/127\.0\.0\.1/);
  now = 60_000;
  expect(await pool.take(1)).toEqual([port]);
});

test('a port that an earlier mesh gave rests as one of our own', async () => {
  const [port = 0] = await createPortPool().take(1);
  let now = 0;
  const pool = createPortPool({ ports: { first: port, end: port + 1 }, quarantineMs: 60_000, now: () => now });
  pool.quarantine([port]);
  now = 59_999;
  await expect(pool.take(1)).rejects.toThrow(NoFreePortError);
  now = 60_000;
  expect(await pool.take(1)).toEqual([port]);
  // One that is taken stays so.
  pool.quarantine([port]);
  now = 1_000_000;
  await expect(pool.take(1)).rejects.toThrow(NoFreePortError);
});

test('a take that cannot have all has none', async () => {
  const [port = 0] = await createPortPool().take(1);
  const pool = createPortPool({ ports: { first: port, end: port + 1 } });
  await expect(pool.take(2)).rejects.toThrow(NoFreePortError);
  expect(await pool.take(1)).toEqual([port]);
});

import { spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { eventually, freePort, type RunningProgram, startProgram } from './processes.ts';

/** Whether the machine has a Redis server. Where not, tests that need one are skipped; in CI that is an error. */
export function hasRedis(): boolean {
  const found = spawnSync('sh', ['-c', 'command -v redis-server']).status === 0;
  if (!found && process.env.CI) throw new Error('redis-server is missing; CI must install it');
  return found;
}

/** A Redis server of a test's own, empty and in memory; with a password where one is given, which is then in the address. */
export async function startRedis(password = ''): Promise<{ url: string; server: RunningProgram }> {
  const port = await freePort();
  const server = startProgram(
    'redis-server',
    [
      ...['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
      ...(password ? ['--requirepass', password] : []),
    ],
    {},
  );
  await eventually('redis answers', () => ping(port));
  return { url: `redis://${password ? `:${password}@` : ''}127.0.0.1:${port}`, server };
}

/** Starts one that keeps what it accepted in `directory`, each write at once: a later one there, on the same port, goes on. */
export async function startDurableRedis(
  directory: string,
  port?: number,
): Promise<{ url: string; server: RunningProgram }> {
  const chosen = port ?? (await freePort());
  const keep = ['--dir', directory, '--save', '', '--appendonly', 'yes', '--appendfsync', 'always'];
  const server = startProgram('redis-server', ['--port', String(chosen), '--bind', '127.0.0.1', ...keep], {});
  await eventually('redis answers', () => ping(chosen));
  return { url: `redis://127.0.0.1:${chosen}`, server };
}

function ping(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.once('data', (data) => {
      socket.destroy();
      // One with a password asks for it first.
      resolve(/^(?:\+PONG|-NOAUTH)/.test(data.toString()));
    });
    socket.once('error', reject);
  });
}

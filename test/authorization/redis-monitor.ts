import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { eventually } from '../harness/processes.ts';

/** All that a Redis server is told, by everybody. */
export interface RedisMonitor {
  /** One command a line, with its arguments as they came, of all that the server was told before this call. */
  commands(): Promise<string[]>;
  stop(): void;
}

/** Listens in on a server, e.g. "redis://127.0.0.1:6379". */
export async function monitorRedis(url: string): Promise<RedisMonitor> {
  const { hostname, port } = new URL(url);
  const open = async (): Promise<Socket> => {
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    return socket;
  };
  const [monitor, other] = [await open(), await open()];
  let text = '';
  monitor.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  monitor.write('MONITOR\r\n');
  await eventually('the server tells', () => text.startsWith('+OK\r\n'));
  let marks = 0;
  return {
    async commands() {
      marks += 1;
      const mark = `mark-${marks}-of-the-monitor`;
      // What was said before it was told before it.
      other.write(`ECHO ${mark}\r\n`);
      await eventually('the monitor has caught up', () => text.includes(mark));
      return text
        .split('\r\n')
        .filter((line) => line.startsWith('+') && !line.includes('of-the-monitor') && line !== '+OK');
    },
    stop() {
      monitor.destroy();
      other.destroy();
    },
  };
}

import { readFileSync } from 'node:fs';

/** One end of a connection over IPv4 on this machine, as the kernel tells it. */
export interface SocketEnd {
  readonly localPort: number;
  readonly remotePort: number;
  /** Bytes that were written and that the other side's kernel has not confirmed. */
  readonly sendingBytes: number;
  /** Bytes that have come and that nobody has read. */
  readonly unreadBytes: number;
}

/** The ends of all connections. Linux only. Source: proc_net_tcp of the kernel's documentation. */
export function socketEnds(): SocketEnd[] {
  const [, ...lines] = readFileSync('/proc/net/tcp', 'utf8').trim().split('\n');
  return lines.map((line) => {
    const [, local = '', remote = '', , queues = ''] = line.trim().split(/\s+/);
    const [sending = '', unread = ''] = queues.split(':');
    return {
      localPort: Number.parseInt(local.split(':')[1] ?? '', 16),
      remotePort: Number.parseInt(remote.split(':')[1] ?? '', 16),
      sendingBytes: Number.parseInt(sending, 16),
      unreadBytes: Number.parseInt(unread, 16),
    };
  });
}

/** Bytes that the kernel holds on the connections between a port and others, or one other, on their way from the port. */
export function bytesFrom(port: number, to?: number): number {
  const isOther = (other: number): boolean => to === undefined || other === to;
  return socketEnds().reduce((sum, { localPort, remotePort, sendingBytes, unreadBytes }) => {
    if (localPort === port && isOther(remotePort)) return sum + sendingBytes;
    return remotePort === port && isOther(localPort) ? sum + unreadBytes : sum;
  }, 0);
}

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** What the kernel calls a connection that is open. */
const ESTABLISHED = '01';

/** How many open connections to one of its own ports a process holds, over IPv4. Needs Linux. */
export function connectionsOf(processId: number, port: number): number {
  const localPort = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = readFileSync(`/proc/${processId}/net/tcp`, 'utf8').split('\n');
  const sockets = new Set<string | undefined>();
  for (const row of rows) {
    const [, local, , state, , , , , , inode] = row.trim().split(/\s+/);
    if (local?.endsWith(localPort) && state === ESTABLISHED) sockets.add(inode);
  }
  return readdirSync(`/proc/${processId}/fd`).filter((fd) => {
    const inode = socketOf(`/proc/${processId}/fd/${fd}`);
    return inode !== undefined && sockets.has(inode);
  }).length;
}

/** The number of the socket that a descriptor stands for. */
function socketOf(path: string): string | undefined {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(path))?.[1];
  } catch {
    // Closed meanwhile.
    return undefined;
  }
}

/** The processes that a process started and that live, the newest last. Needs Linux. */
export function childrenOf(processId: number): number[] {
  return readdirSync(`/proc/${processId}/task`).flatMap((thread) =>
    readFileSync(`/proc/${processId}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
}

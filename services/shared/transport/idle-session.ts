import type { ServerHttp2Session } from 'node:http2';

/**
 * Ends a connection of HTTP/2 on which nothing runs when nothing has come for a time, as Node does by itself over HTTP/1.1.
 * Frames count and bytes do not, so that one that is dribbled keeps nobody here. A client that pings stays.
 *
 * @param idleMs in milliseconds
 */
export function endWhenIdle(session: ServerHttp2Session, idleMs: number): void {
  let running = 0;
  session.setTimeout(idleMs);
  // Node counts pings only where somebody listens to them.
  session.on('ping', () => {});
  session.on('timeout', () => {
    if (running === 0) session.destroy();
  });
  session.on('stream', (stream) => {
    running += 1;
    stream.on('close', () => {
      running -= 1;
      // The time may have passed while it ran.
      if (running === 0) session.setTimeout(idleMs);
    });
  });
}

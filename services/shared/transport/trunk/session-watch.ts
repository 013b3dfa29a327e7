import type { Http2Session } from 'node:http2';

/**
 * Destroys an HTTP/2 session whose other side has vanished without closing it, until the returned function is called. Looks are
 * counted and not time: a process that itself stood still has heard nothing of the others.
 *
 * @param unanswered how many looks find the same ping unanswered
 */
export function watchSession(
  session: Http2Session,
  options: { pingIntervalMs: number; unanswered: number },
): () => void {
  let looks = 0;
  const answered = (): void => {
    looks = 0;
  };
  const look = (): void => {
    if (session.destroyed) return;
    if (looks === 0) session.ping(answered);
    looks += 1;
    if (looks > options.unanswered) session.destroy();
  };
  const timer = setInterval(look, options.pingIntervalMs).unref();
  return () => clearInterval(timer);
}

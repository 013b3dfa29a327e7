import type { ClientHttp2Session } from 'node:http2';
import { Http2SessionManager } from '@connectrpc/connect-node';

/**
 * A connection that is told to leave so soon is one to a process that leaves; to try again at once would bring another like it.
 * Shorter than who leaves waits for those who come back. In milliseconds.
 */
const YOUNG_MS = 1_000;

/**
 * The connections to another process. A connection that is told to leave while nothing runs on it is destroyed with an error, which comes a
 * moment later; when a call has begun on the next connection by then, the manager has stopped listening to the last one, and the error
 * would end this process.
 */
export class PeerSessions extends Http2SessionManager {
  readonly #known = new WeakSet<ClientHttp2Session>();

  readonly #onSentAway: () => void;

  /** @param onSentAway is called when a connection is told to leave, of a young one when it is no longer; calls go by the next one */
  constructor(onSentAway: () => void, ...options: ConstructorParameters<typeof Http2SessionManager>) {
    super(...options);
    this.#onSentAway = onSentAway;
  }

  override async request(...call: Parameters<Http2SessionManager['request']>) {
    const stream = await super.request(...call);
    const { session } = stream;
    if (session && !this.#known.has(session as ClientHttp2Session)) {
      this.#known.add(session as ClientHttp2Session);
      // Its calls have failed with it, where there were any.
      session.on('error', () => {});
      const openedAtMs = performance.now();
      session.on('goaway', () => {
        const leftMs = openedAtMs + YOUNG_MS - performance.now();
        if (leftMs <= 0) this.#onSentAway();
        else setTimeout(this.#onSentAway, leftMs).unref();
      });
    }
    return stream;
  }
}

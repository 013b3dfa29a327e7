import type { ClientHttp2Session } from 'node:http2';
import { Http2SessionManager } from '@connectrpc/connect-node';

/**
 * The connections to another process. A connection that is told to leave while nothing runs on it is destroyed with an error, which comes a
 * moment later; when a call has begun on the next connection by then, the manager has stopped listening to the last one, and the error
 * would end this process.
 */
export class PeerSessions extends Http2SessionManager {
  readonly #known = new WeakSet<ClientHttp2Session>();

  override async request(...call: Parameters<Http2SessionManager['request']>) {
    const stream = await super.request(...call);
    const { session } = stream;
    if (session && !this.#known.has(session as ClientHttp2Session)) {
      this.#known.add(session as ClientHttp2Session);
      // Its calls have failed with it, where there were any.
      session.on('error', () => {});
    }
    return stream;
  }
}

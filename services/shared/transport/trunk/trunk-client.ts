import { asMeshError } from '../../errors/connect-error.ts';
import { MeshError } from '../../errors/mesh-error.ts';
import type { Vouching } from '../../interceptors/on-behalf-of.ts';
import type { Generate } from '../generate.ts';
import { headersOf } from './call-headers.ts';
import { loadChannels } from './loaded-channel.ts';
import type { TrunkTarget } from './trunk-channel.ts';
import { TrunkConnection } from './trunk-connection.ts';
import { BACKOFF_MS } from './trunk-limits.ts';

/** The seam to another process, over one trunk that is opened at the first call and again at the next one after it broke. */
export interface TrunkClient {
  readonly generate: Generate;
  /** Ends the trunk and what runs on it; nothing can be asked any more. */
  close(): void;
}

/** Makes one. Without `vouching` a call for somebody fails with INTERNAL. */
export function createTrunkClient(target: TrunkTarget, vouching?: Pick<Vouching, 'sign'>): TrunkClient {
  // A trunk is asked for soon; what is wrong its opening says.
  loadChannels().catch(() => undefined);
  /** Those that carry something; the current one takes what is new. */
  const connections = new Set<TrunkConnection>();
  let current: TrunkConnection | undefined;
  let lastFailure: { error: MeshError; untilMs: number } | undefined;
  let backoffMs: number = BACKOFF_MS.first;
  let isClosed = false;

  function open(): TrunkConnection {
    if (isClosed) throw new MeshError('PEER_UNAVAILABLE', 'This process is shutting down.');
    if (lastFailure && performance.now() < lastFailure.untilMs) throw lastFailure.error;
    let hasOpened = false;
    const connection = new TrunkConnection(target, {
      onOpen() {
        hasOpened = true;
        lastFailure = undefined;
        backoffMs = BACKOFF_MS.first;
      },
      onRetired() {
        if (current === connection) current = undefined;
      },
      onOver(error) {
        connections.delete(connection);
        if (current === connection) current = undefined;
        if (hasOpened) return;
        lastFailure = { error, untilMs: performance.now() + backoffMs * (0.5 + Math.random() / 2) };
        backoffMs = Math.min(BACKOFF_MS.most, backoffMs * 2);
      },
    });
    connections.add(connection);
    return connection;
  }

  return {
    generate(request, call, sink) {
      try {
        call.signal.throwIfAborted();
        const headers = headersOf(call, vouching);
        current ??= open();
        current.start(request, headers, call, sink);
      } catch (error) {
        sink.fail(asMeshError(error));
      }
    },
    close() {
      isClosed = true;
      for (const connection of connections) connection.close();
    },
  };
}

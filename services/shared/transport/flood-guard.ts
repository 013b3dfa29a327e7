import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { LRUCache } from 'lru-cache';
import { networkOf } from '../interceptors/network.ts';

/** A stream that its client resets within this time of opening it has done nothing but cost, in milliseconds. */
const PREMATURE_MS = 1_000;

/** Streams that a connection may give up so soon before they are compared with all of it. */
const MAX_PREMATURE = 200;

/** Connections of broken frames that an address may make before it counts as one that floods: a port scanner makes some too. */
const MAX_BROKEN = 5;

/** How often an address that flooded may connect, in milliseconds. */
const RECONNECT_MS = 1_000;

/** How long an address is remembered after it flooded, in milliseconds. */
const REMEMBERED_MS = 60_000;

/** How many such addresses are remembered; the oldest is forgotten first. */
const MAX_REMEMBERED = 4_096;

/** Codes of failures that a client makes of its own will, and that cost until they are noticed. */
const ABUSE = new Set(['ERR_HTTP2_ERROR', 'ERR_HTTP2_TOO_MANY_INVALID_FRAMES']);

/** Keeps one client from taking the process for itself with the frames of HTTP/2. */
export interface FloodGuard {
  /** Whether a new connection of the address is refused. An IPv6 address counts by its /64. */
  refuses(address: string | undefined): boolean;
  /** Ends the session when it floods; then its address may connect once a second only. */
  watch(session: ServerHttp2Session): void;
}

/** What a guard is made of. */
export interface FloodGuardOptions {
  /** Whether many clients may share an address, as behind a proxy: who of them floods is ended, the others are not refused. */
  readonly isShared: (address: string) => boolean;
  /** Is told of an address once for every connection that was ended. */
  readonly onFlood: (address: string) => void;
  /** A clock that only goes forward, in milliseconds. */
  readonly nowMs: () => number;
}

/** Makes a guard. */
export function createFloodGuard({ isShared, onFlood, nowMs }: FloodGuardOptions): FloodGuard {
  const flooders = new LRUCache<string, { allowedAtMs: number; readonly forgottenAtMs: number }>({
    max: MAX_REMEMBERED,
  });
  /** Network → its connections of broken frames within REMEMBERED_MS of one another. */
  const broken = new LRUCache<string, { readonly count: number; readonly atMs: number }>({ max: MAX_REMEMBERED });

  function report(address: string | undefined): void {
    if (address === undefined) return;
    onFlood(address);
    if (isShared(address)) return;
    const now = nowMs();
    flooders.set(networkOf(address), { allowedAtMs: now + RECONNECT_MS, forgottenAtMs: now + REMEMBERED_MS });
  }

  function reportBroken(address: string | undefined): void {
    if (address === undefined) return;
    const network = networkOf(address);
    const known = broken.get(network);
    const atMs = nowMs();
    const count = known && atMs - known.atMs < REMEMBERED_MS ? known.count + 1 : 1;
    broken.set(network, { count, atMs });
    if (count > MAX_BROKEN) report(address);
  }

  return {
    refuses(address) {
      if (flooders.size === 0 || address === undefined) return false;
      const network = networkOf(address);
      const flooder = flooders.get(network);
      if (flooder === undefined) return false;
      const now = nowMs();
      if (now >= flooder.forgottenAtMs) {
        flooders.delete(network);
        return false;
      }
      if (now < flooder.allowedAtMs) return true;
      flooder.allowedAtMs = now + RECONNECT_MS;
      return false;
    },
    watch(session) {
      // It is gone when the session has ended.
      const { remoteAddress } = session.socket;
      let streams = 0;
      let premature = 0;

      function onClose(stream: ServerHttp2Stream, openedAtMs: number): void {
        if (stream.rstCode === constants.NGHTTP2_NO_ERROR || nowMs() - openedAtMs >= PREMATURE_MS) return;
        premature += 1;
        // Half of all, so that a client that also does something with its streams may change its mind about many.
        if (premature <= MAX_PREMATURE || premature * 2 <= streams || session.destroyed) return;
        session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
        report(remoteAddress);
      }

      session.on('stream', (stream) => {
        streams += 1;
        const openedAtMs = nowMs();
        stream.on('close', () => onClose(stream, openedAtMs));
      });
      session.on('error', (error: Error & { code?: string }) => {
        if (ABUSE.has(error.code ?? '')) reportBroken(remoteAddress);
      });
    },
  };
}

import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { AuthService, WatchRevocationsResponse } from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import { fromConnectError } from '../errors/connect-error.ts';
import { MeshError } from '../errors/mesh-error.ts';
import type { Revocation } from './revocation.ts';

/** A stream that is silent for so long is broken, in milliseconds; auth says something every second. */
const SILENCE_MS = 3_000;

const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 1_000;

/** Failures in a row that are worth a line in the log: auth that restarts is not. */
const WORTH_A_LINE = 5;

/** What a watch is made of. */
export interface RevocationWatchOptions {
  readonly auth: Pick<Client<typeof AuthService>, 'watchRevocations'>;
  /** Told whether every revocation is heard from now on. It begins as false. */
  readonly onWatched: (isWatched: boolean) => void;
  readonly onRevoked: (revocation: Revocation) => void;
  readonly log: Logger;
}

/** Hears of every revocation for as long as it is open, and says when it does not. Returns what closes it. */
export function watchRevocations({ auth, onWatched, onRevoked, log }: RevocationWatchOptions): () => void {
  const closing = new AbortController();

  async function follow(): Promise<void> {
    const attempt = new AbortController();
    const silent = new MeshError('PEER_UNAVAILABLE', 'auth is silent.', { metadata: { peer: 'auth' } });
    const silence = setTimeout(() => attempt.abort(silent), SILENCE_MS).unref();
    let isWatched = false;
    try {
      const signal = AbortSignal.any([closing.signal, attempt.signal]);
      for await (const message of auth.watchRevocations({}, { signal })) {
        silence.refresh();
        if (!isWatched) begin();
        isWatched = true;
        const revocation = revocationOf(message);
        if (revocation) onRevoked(revocation);
      }
    } finally {
      clearTimeout(silence);
      if (isWatched) onWatched(false);
    }
  }

  let failures = 0;
  function begin(): void {
    onWatched(true);
    if (failures >= WORTH_A_LINE) log.info('revocations are heard again');
    failures = 0;
  }

  async function keepWatching(): Promise<void> {
    while (!closing.signal.aborted) {
      const { reason, message } = await follow().then(
        () => new MeshError('PEER_UNAVAILABLE', 'auth ended the stream.'),
        (error: unknown) => fromConnectError(error),
      );
      if (closing.signal.aborted) return;
      failures += 1;
      if (failures === WORTH_A_LINE)
        log.warn({ reason, message }, 'revocations are not heard; keys are cached for 5 s');
      const retryMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1));
      // Rejects only because of closing, which ends the loop.
      await delay(retryMs, undefined, { signal: closing.signal, ref: false }).catch(() => {});
    }
  }

  void keepWatching();
  return () => closing.abort();
}

function revocationOf({ revoked, cutRunningStreams }: WatchRevocationsResponse): Revocation | undefined {
  switch (revoked.case) {
    case 'keyId':
      return { kind: 'key', id: revoked.value, cutRunningStreams };
    case 'userId':
      return { kind: 'user', id: revoked.value, cutRunningStreams };
    case 'signingKeyId':
      return { kind: 'signing-key', id: revoked.value, cutRunningStreams };
    default:
      return undefined;
  }
}

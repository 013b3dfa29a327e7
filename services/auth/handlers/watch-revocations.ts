import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import { type AuthService, WatchRevocationsResponseSchema } from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { AuthContext } from '../context.ts';
import type { Revocation } from '../revocations.ts';

/** How often a stream without news says that it is live, in milliseconds. */
const BEAT_MS = 1_000;

/** How many revocations wait for a slow reader before its stream ends: it then trusts nothing that it was told before. */
const WAITING_REVOCATIONS = 1_024;

/** What is revoked from now on. Ends with an error as soon as something may have been missed. */
export function watchRevocations({
  revocations,
}: Pick<AuthContext, 'revocations'>): MethodImpl<typeof AuthService.method.watchRevocations> {
  return async function* (_request, call) {
    await revocations.ready();
    call.signal.throwIfAborted();
    const waiting: Revocation[] = [];
    let problem: MeshError | undefined;
    let wake: () => void = () => {};
    const end = (error: MeshError): void => {
      leave();
      problem ??= error;
      wake();
    };
    const leave = revocations.watch(
      (revocation) => {
        if (waiting.length >= WAITING_REVOCATIONS) return end(missed('The reader is too slow.'));
        waiting.push(revocation);
        wake();
      },
      () => end(missed('The store was away.')),
    );
    const beat = setInterval(() => wake(), BEAT_MS);
    // The signal, not a finally: a generator that waits in a yield is not finalised when its reader vanishes.
    const stop = (): void => {
      leave();
      clearInterval(beat);
      wake();
    };
    call.signal.addEventListener('abort', stop, { once: true });
    try {
      for (;;) {
        call.signal.throwIfAborted();
        // What was missed cannot be told any more, so what waits is not worth telling either.
        if (problem) throw problem;
        const next = waiting.shift();
        yield next ? message(next) : create(WatchRevocationsResponseSchema);
        if (waiting.length > 0) continue;
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (waiting.length > 0 || problem || call.signal.aborted) resolve();
        });
      }
    } finally {
      stop();
    }
  };
}

function message({ kind, id, cutRunningStreams }: Revocation) {
  const revoked = {
    key: { case: 'keyId', value: id },
    user: { case: 'userId', value: id },
    'signing-key': { case: 'signingKeyId', value: id },
  } as const;
  return create(WatchRevocationsResponseSchema, { revoked: revoked[kind], cutRunningStreams });
}

function missed(why: string): MeshError {
  return new MeshError('STORE_UNAVAILABLE', `Revocations may have been missed. ${why} Watch again.`);
}

import type { HandlerContext } from '@connectrpc/connect';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { clientIpKey } from '../../shared/interceptors/client-ip.ts';
import { PEER_PRINCIPAL, principalOf } from '../../shared/interceptors/principal.ts';
import { requestIdOf } from '../../shared/transport/mesh-headers.ts';
import type { RouterContext } from '../context.ts';
import { GenerationRecord, type Operation, tellEnded } from '../generate/generation-record.ts';

/** Runs a call that is answered in one piece, and tells those who observe calls of models when it is over. */
export async function observedCall<Answer>(
  { observers, now }: Pick<RouterContext, 'observers' | 'now'>,
  { operation, modelAsked, call }: { operation: Operation; modelAsked: string; call: HandlerContext },
  run: (record: GenerationRecord) => Promise<Answer>,
): Promise<Answer> {
  const identity = { requestId: requestIdOf(call.requestHeader), clientIp: call.values.get(clientIpKey) };
  const record = new GenerationRecord(operation, identity, { modelAsked, createdAtMs: now() });
  const principal = principalOf(call);
  if (principal !== PEER_PRINCIPAL) record.principal = principal;
  try {
    const answer = await run(record);
    tellEnded(observers, record, undefined);
    return answer;
  } catch (error) {
    tellEnded(observers, record, asMeshError(error));
    throw error;
  }
}

import type { HandlerContext } from '@connectrpc/connect';
import type { TrunkCommands, TrunkEvents } from '../../../../gen/mesh/generation/v1/trunk_pb.ts';
import { abortReason } from '../abort-reason.ts';
import { type Exchange, exchangeKey } from '../exchange.ts';
import { servedGeneration } from '../rpc-generation.ts';
import { leaveToTrunk } from '../session-lifetime.ts';
import { tracedGenerate } from '../traced-generate.ts';
import { ServedTrunk, type ServedTrunkOptions } from './served-trunk.ts';
import { watchSession } from './session-watch.ts';
import { SERVER_KEEPALIVE } from './trunk-limits.ts';

/** The handler of an Attach method. */
export type AttachHandler = (
  commands: AsyncIterable<TrunkCommands>,
  context: HandlerContext,
) => AsyncIterable<TrunkEvents>;

/**
 * Serves the seam as a trunk. Its generations end with it, at once and down to their engines. For a drain it is work while
 * something runs on it.
 */
export function attachHandler({
  generate,
  vouching,
}: Pick<ServedTrunkOptions, 'generate' | 'vouching'>): AttachHandler {
  return (commands, context) => {
    const exchange = context.values.get(exchangeKey);
    const trunk = new ServedTrunk({
      generate: tracedGenerate(generate, servedGeneration(context.service)),
      vouching,
      onWork(isWork) {
        if (!exchange) return;
        exchange.isWork = isWork;
        if (!isWork) exchange.onWorkOver();
      },
    });
    if (exchange) exchange.onDrain = () => trunk.drain();
    const unwatch = watchPeer(exchange);
    const { signal } = context;
    const abort = (): void => {
      unwatch();
      trunk.abort(abortReason(context));
    };
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    trunk.events.greet();
    void trunk.read(commands);
    return { [Symbol.asyncIterator]: () => trunk.events };
  };
}

function watchPeer(exchange: Exchange | undefined): () => void {
  const session = exchange && 'stream' in exchange.request ? exchange.request.stream.session : undefined;
  if (!session) return () => {};
  leaveToTrunk(session);
  return watchSession(session, SERVER_KEEPALIVE);
}

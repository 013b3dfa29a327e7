import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import {
  type InferenceService,
  WatchEnginesResponseSchema,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import type { InferenceContext } from '../context.ts';
import { EngineChanges } from './engine-changes.ts';
import { visibleEngine } from './visible-engine.ts';

/** All engines, then every change, until the engines have stopped for good. A slow reader gets a snapshot now and then. */
export function watchEngines(
  context: Pick<InferenceContext, 'engines' | 'watch'>,
): MethodImpl<typeof InferenceService.method.watchEngines> {
  return async function* (_request, call) {
    call.signal.throwIfAborted();
    const principal = principalOf(call);
    const changes = new EngineChanges(() => context.engines());
    let isOver = false;
    let wake: () => void = () => {};
    const leave = context.watch(
      (engine) => {
        changes.add(engine);
        wake();
      },
      () => {
        isOver = true;
        wake();
      },
    );
    // The signal, not a finally: a generator that waits in a yield is not finalised when its reader vanishes.
    call.signal.addEventListener('abort', () => {
      leave();
      wake();
    });
    for (;;) {
      const news = changes.take();
      if (news) {
        const engines = news.engines.map((engine) => visibleEngine(engine, principal));
        yield create(WatchEnginesResponseSchema, { engines, snapshot: news.snapshot });
      } else if (isOver) {
        throw new MeshError('SHUTTING_DOWN', 'The engines of this process have stopped.', { retryAfterMs: 1_000 });
      } else {
        // Only now: what happened before the port closes is still told.
        call.signal.throwIfAborted();
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  };
}

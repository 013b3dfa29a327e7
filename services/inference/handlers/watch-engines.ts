import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import type { Engine } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import {
  type InferenceService,
  WatchEnginesResponseSchema,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import type { InferenceContext } from '../context.ts';
import { visibleEngine } from './visible-engine.ts';

/** All engines, then those that change. A slow reader gets the latest of each, never a backlog. */
export function watchEngines(context: InferenceContext): MethodImpl<typeof InferenceService.method.watchEngines> {
  return async function* (_request, call) {
    const principal = principalOf(call);
    const changed = new Map(context.engines().map((engine) => [engine.name, engine]));
    let wake: () => void = () => {};
    const unwatch = context.watch((engine: Engine) => {
      changed.set(engine.name, engine);
      wake();
    });
    // The signal, not a finally: a generator that waits in a yield is not finalised when its reader vanishes.
    call.signal.addEventListener('abort', () => {
      unwatch();
      wake();
    });
    while (!call.signal.aborted) {
      const engines = [...changed.values()].map((engine) => visibleEngine(engine, principal));
      changed.clear();
      yield create(WatchEnginesResponseSchema, { engines });
      if (changed.size > 0 || call.signal.aborted) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
}

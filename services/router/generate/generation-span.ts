import { durationMs } from '@bufbuild/protobuf/wkt';
import { EVENTS, NAMES } from '../../shared/observability/telemetry-names.ts';
import type { GenerationSpan } from '../../shared/transport/traced-generate.ts';

/** The span of a generation in the router: from its admission to its settlement, its waiting and all its attempts. */
export const ROUTED_GENERATION: GenerationSpan = {
  kind: 'internal',
  name: () => 'generate',
  attributes: (_request, { requestId }) => ({ [NAMES.requestId]: requestId }),
  notes: (span) => ({
    readsDeltas: false,
    event({ event }) {
      switch (event.case) {
        case 'started':
          span.set({
            // Only now: what callers name that does not exist may be anything.
            [NAMES.genAiRequestModel]: event.value.model,
            [NAMES.genAiResponseModel]: event.value.modelId,
            [NAMES.engine]: event.value.engine,
            [NAMES.queueMs]: event.value.queueTime ? durationMs(event.value.queueTime) : 0,
          });
          break;
        case 'resumed':
          span.event(EVENTS.takeover, {
            [NAMES.engine]: event.value.engine,
            [NAMES.attempt]: event.value.attempt,
            [NAMES.fromToken]: event.value.fromToken,
          });
          break;
        case 'usage':
          span.set({
            [NAMES.promptTokens]: event.value.promptTokens,
            [NAMES.completionTokens]: event.value.completionTokens,
          });
          break;
      }
    },
  }),
};

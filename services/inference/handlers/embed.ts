import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import { EmbedResponseSchema, type InferenceService } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { traceOf } from '../../shared/interceptors/trace-served.ts';
import type { InferenceContext } from '../context.ts';
import { inEngineSpan } from '../engine-span.ts';
import { unsupportedField } from '../engines/openai-errors.ts';

/** The vectors of texts or token sequences; `model` names the engine on this node. */
export function embed(context: InferenceContext): MethodImpl<typeof InferenceService.method.embed> {
  return async ({ model, inputs, dimensions }, call) => {
    const { vectors, promptTokens, engineSeconds } = await context.call(
      model,
      call.signal,
      (connection) =>
        inEngineSpan(
          context.engines().find(({ name }) => name === model),
          'embeddings',
          traceOf(call),
          async () => {
            if (!connection.embed) throw unsupportedField(model, 'embeddings');
            const sentAtMs = performance.now();
            const answer = await connection.embed(inputs, dimensions, call.signal);
            return { ...answer, engineSeconds: (performance.now() - sentAtMs) / 1_000 };
          },
        ),
      true,
    );
    const engine = context.engines().find(({ name }) => name === model);
    return create(EmbedResponseSchema, {
      embeddings: vectors.map((values) => ({ values: [...values] })),
      promptTokens,
      engineSeconds,
      modelId: engine?.modelId ?? '',
    });
  };
}

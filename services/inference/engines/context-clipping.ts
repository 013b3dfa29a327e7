import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import type { GenerationSink } from '../../shared/transport/generate.ts';

/** Sends a request to its server. */
type Send = (request: GenerateRequest, sink: GenerationSink) => void;

/**
 * Sends a request with as many of its tokens as the context leaves. Some servers clip `max_tokens` themselves, some only up to
 * their context, some refuse and say how long the prompt is: those are asked again, once, for what is left beside it.
 *
 * @param contextTokens of the server, as far as it tells it.
 */
export function sendWithinContext(
  request: GenerateRequest,
  contextTokens: number | undefined,
  sink: GenerationSink,
  send: Send,
): void {
  const maxTokens = request.sampling?.maxTokens;
  if (maxTokens === undefined) {
    send(request, sink);
    return;
  }
  const asked = contextTokens === undefined ? maxTokens : Math.min(maxTokens, contextTokens);
  send(withMaxTokens(request, asked), {
    event: (event) => sink.event(event),
    end: () => sink.end(),
    fail(error) {
      const left = leftBeside(error);
      if (left === undefined || left >= asked) sink.fail(error);
      else send(withMaxTokens(request, left), sink);
    },
  });
}

function withMaxTokens(request: GenerateRequest, maxTokens: number): GenerateRequest {
  const { sampling } = request;
  return sampling === undefined || sampling.maxTokens === maxTokens
    ? request
    : { ...request, sampling: { ...sampling, maxTokens } };
}

/** What a context leaves beside a prompt, in tokens, where a refusal tells both and it is something. */
function leftBeside({ reason, metadata }: MeshError): number | undefined {
  if (reason !== 'CONTEXT_LENGTH_EXCEEDED') return undefined;
  const left = Number(metadata.context_tokens) - Number(metadata.prompt_tokens);
  return left > 0 ? left : undefined;
}

import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import type { GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import type { AnswerDecoder } from './answer-decoder.ts';
import { HeldText } from './held-text.ts';
import { EVENT_STREAM, type OpenAiConnection, startedEvent } from './openai-connection.ts';
import type { OpenAiAnswer } from './openai-errors.ts';
import { OpenAiStream } from './openai-stream.ts';
import { StopCutter } from './stop-cutter.ts';
import { errorOfVllm } from './vllm-errors.ts';
import { type VllmModel, type VllmRequest, vllmRequest } from './vllm-request.ts';

/** One generation of the mesh. */
export interface VllmGeneration {
  readonly request: GenerateRequest;
  readonly call: GenerationCall;
  readonly sink: GenerationSink;
}

/** Runs a generation on a vLLM; the contract of the token seam holds. */
export function generateOverVllm(
  connection: OpenAiConnection,
  model: VllmModel,
  { request, call, sink }: VllmGeneration,
): void {
  let upstream: VllmRequest;
  try {
    upstream = vllmRequest(request, model);
  } catch (error) {
    sink.fail(asMeshError(error));
    return;
  }
  const { engine, contextTokens } = model;
  const started = startedEvent(request, model, call);
  const decoder = (): AnswerDecoder => {
    const { choices, cutAt, heldCharacters } = upstream;
    const stream = new OpenAiStream(started, choices, { countsEachChoice: true });
    const whole = heldCharacters > 0 ? new HeldText(stream, heldCharacters) : stream;
    return cutAt.length > 0 ? new StopCutter(whole, cutAt) : whole;
  };
  const errorOf = (name: string, answer: OpenAiAnswer): MeshError => errorOfVllm(contextTokens, name, answer);
  const form = { engine, contentType: EVENT_STREAM, decoder, errorOf };
  connection.exchange(connection.path(upstream.path), upstream.body, form, call, sink);
}

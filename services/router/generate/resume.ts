import { type GenerateRequest, ResumePolicy } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Engine } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Transcript } from './transcript.ts';

/** Why a generation cannot go on elsewhere; told in the error as `not_resumed`. */
export type NotResumed =
  | 'never'
  | 'choices'
  | 'grammar'
  | 'tool_calls'
  | 'reasoning'
  | 'echo_prompt'
  | 'too_long'
  | 'no_engine'
  | 'attempts';

const SAID: Readonly<Record<NotResumed, string>> = {
  never: 'The request asked that it is not continued on another engine.',
  choices: 'An answer with several choices cannot be continued on another engine.',
  grammar: 'An answer that is held to a form cannot be continued on another engine.',
  tool_calls: 'An answer cannot be continued on another engine after it began to call a tool.',
  reasoning: 'An answer cannot be continued on another engine after its reasoning began.',
  echo_prompt: 'An answer that repeats its prompt cannot be continued on another engine.',
  too_long: 'The answer was too long to be continued on another engine.',
  no_engine: 'No other engine could continue it.',
  attempts: 'It was continued on other engines as often as it may be.',
};

/** Engine options that hold the text to a form: their state is in the engine that broke off. */
const GRAMMARS = /^(guided_|structured_outputs$|grammar|json_schema$|regex$|ebnf$|format$|lazy_grammar)/;

/** Why a request can never be continued by another engine, whatever has been delivered. Undefined: it can. Pure. */
export function neverResumed(request: GenerateRequest): NotResumed | undefined {
  const { resume, sampling, responseFormat, engineOptions, echoPrompt } = request;
  if (resume === ResumePolicy.NEVER) return 'never';
  if ((sampling?.choices ?? 1) > 1) return 'choices';
  if (responseFormat || Object.keys(engineOptions ?? {}).some((option) => GRAMMARS.test(option))) return 'grammar';
  return echoPrompt ? 'echo_prompt' : undefined;
}

/** Why what has been delivered cannot be continued. Undefined: it can. Pure. */
export function notResumedAfter(transcript: Transcript): NotResumed | undefined {
  if (transcript.hasToolCalls) return 'tool_calls';
  if (transcript.hasReasoning) return 'reasoning';
  return transcript.isTooLong ? 'too_long' : undefined;
}

/** Whether the tokens of an engine are asked for, so that one of its kind can go on from them exactly. Pure. */
export function tellsContinuation({ capabilities }: Engine): boolean {
  return capabilities?.tokenIds === true && capabilities.continuesTokens;
}

/** Whether the request's own bound is reached by what was delivered. Pure. */
export function isUsedUp({ sampling }: GenerateRequest, { tokens }: Transcript): boolean {
  return sampling?.maxTokens !== undefined && tokens >= sampling.maxTokens;
}

/** The error at the break of a stream that does not go on, with the reason why not. */
export function notResumed(error: MeshError, why: NotResumed): MeshError {
  const { reason, message, metadata, retryAfterMs, limits, cause } = error;
  return new MeshError(reason, `${message} ${SAID[why]}`, {
    metadata: { ...metadata, not_resumed: why },
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    limits,
    cause,
  });
}

/** How an engine goes on: from the tokens, or from the text. */
export type Way = 'tokens' | 'text';

/**
 * How `engine` can go on from what was delivered: by tokens where it is of the kind that told them, else by text. Undefined:
 * it cannot. Pure.
 *
 * @param kind of the engine that broke off
 */
export function wayOf(
  { kind: ownKind, capabilities }: Engine,
  { prompt, sampling }: GenerateRequest,
  { hasAllIds }: Transcript,
  kind: string,
): Way | undefined {
  if (capabilities?.continuesTokens && hasAllIds && ownKind === kind) return 'tokens';
  const input = prompt?.input.case;
  // The ids that were delivered may be ahead of the text.
  if (input === 'tokenIds' || sampling?.returnTokenIds) return undefined;
  return (input === 'chat' ? capabilities?.continuesChat : capabilities?.continuesText) ? 'text' : undefined;
}

/** The request with which an engine goes on, with the rest of the budget. Pure. */
export function continued(request: GenerateRequest, { text, tokenIds, tokens }: Transcript, way: Way): GenerateRequest {
  const continuation = {
    $typeName: 'mesh.generation.v1.Continuation' as const,
    text,
    tokenIds: way === 'tokens' ? [...tokenIds] : [],
  };
  const { sampling } = request;
  if (!sampling) return { ...request, continuation };
  const { maxTokens, minTokens } = sampling;
  const left = {
    ...sampling,
    ...(maxTokens === undefined ? {} : { maxTokens: maxTokens - tokens }),
    ...(minTokens === undefined ? {} : { minTokens: Math.max(0, minTokens - tokens) }),
  };
  return { ...request, sampling: left, continuation };
}

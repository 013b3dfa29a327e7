import { create } from '@bufbuild/protobuf';
import type { Continuation, GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { ChatMessageSchema, type Prompt, Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import type { EngineCapabilities } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { unsupportedField } from './openai-errors.ts';
import type { Json } from './openai-messages.ts';

/**
 * How a server goes on with a conversation whose last message is the start of the answer: by itself (`prefill`), when it is
 * told to (`flagged`, as vLLM), or by fields of our own engine (`fields`).
 */
export type ChatContinuation = 'prefill' | 'flagged' | 'fields';

/** A request whose prompt holds the start of the answer, and the fields that say so. */
export interface Continuing {
  readonly prompt: Prompt | undefined;
  readonly fields: Json;
}

/**
 * What of the answer is there already, in the words of the upstream API. Pure.
 *
 * @throws MeshError UNSUPPORTED_FIELD where the engine cannot go on from it.
 */
export function continuing(
  { prompt, continuation }: GenerateRequest,
  engine: string,
  capabilities: EngineCapabilities,
  form: ChatContinuation | undefined,
): Continuing {
  if (!continuation) return { prompt, fields: {} };
  const { text, tokenIds } = continuation;
  const input = prompt?.input;
  if (form === 'fields' && capabilities.continuesTokens) {
    return { prompt, fields: tokenIds.length > 0 ? { continue_token_ids: tokenIds } : { continue_text: text } };
  }
  if (input?.case === 'text' && capabilities.continuesText) {
    return { prompt: { ...prompt, input: { case: 'text', value: input.value + text } } as Prompt, fields: {} };
  }
  if (input?.case === 'chat' && capabilities.continuesChat && form) {
    const messages = [...input.value.messages, answerSoFar(continuation)];
    const value = { ...input.value, messages };
    const flags = { add_generation_prompt: false, continue_final_message: true };
    return { prompt: { ...prompt, input: { case: 'chat', value } } as Prompt, fields: form === 'flagged' ? flags : {} };
  }
  throw unsupportedField(engine, 'continuation');
}

function answerSoFar({ text }: Continuation) {
  return create(ChatMessageSchema, { role: Role.ASSISTANT, parts: [{ part: { case: 'text', value: text } }] });
}

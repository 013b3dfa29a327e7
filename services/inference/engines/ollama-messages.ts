import { type Chat, type ChatMessage, type ContentPart, Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import { unsupportedField } from './openai-errors.ts';
import type { Json } from './openai-messages.ts';

const ROLES: Readonly<Record<number, string>> = {
  [Role.SYSTEM]: 'system',
  // Templates know `system`; `developer` is the same in newer words.
  [Role.DEVELOPER]: 'system',
  [Role.USER]: 'user',
  [Role.ASSISTANT]: 'assistant',
  [Role.TOOL]: 'tool',
};

const INLINE_IMAGE = /^data:image\/[\w.+-]+;base64,/i;

/**
 * A conversation in the form of Ollama's own API.
 *
 * @throws MeshError UNSUPPORTED_FIELD that names the first field that it has no place for, INVALID_FIELD.
 */
export function ollamaMessages(chat: Chat, engine: string): readonly Json[] {
  return chat.messages.map((message, index) => ollamaMessage(message, `messages.${index}`, engine));
}

/** Whether a conversation shows images. */
export function hasImages(chat: Chat): boolean {
  return chat.messages.some(({ parts }) => parts.some(({ part }) => part.case === 'imageUrl'));
}

function ollamaMessage(message: ChatMessage, field: string, engine: string): Json {
  const isTool = message.role === Role.TOOL;
  if (message.name !== undefined && !isTool) throw unsupportedField(engine, `${field}.name`);
  const images = message.parts.flatMap(({ part }, index) =>
    part.case === 'imageUrl' ? [inlineImage(part.value, `${field}.content.${index}`, engine)] : [],
  );
  return {
    role: ROLES[message.role] ?? 'user',
    content: message.parts.map((part, index) => textOf(part, `${field}.content.${index}`, engine)).join(''),
    ...(images.length > 0 ? { images } : {}),
    ...(message.name === undefined ? {} : { tool_name: message.name }),
    ...(message.toolCallId === undefined ? {} : { tool_call_id: message.toolCallId }),
    ...(message.toolCalls.length === 0
      ? {}
      : {
          tool_calls: message.toolCalls.map((call, index) => ({
            id: call.id,
            function: { name: call.name, arguments: argumentsOf(call.arguments, `${field}.tool_calls.${index}`) },
          })),
        }),
  };
}

function textOf({ part }: ContentPart, field: string, engine: string): string {
  if (part.case === 'inputAudio') throw unsupportedField(engine, field, 'audio');
  return part.case === 'text' || part.case === 'refusal' ? part.value : '';
}

/** Ollama takes the bytes only, and fetches nothing. */
function inlineImage(url: string, field: string, engine: string): string {
  const head = INLINE_IMAGE.exec(url);
  if (!head) throw unsupportedField(engine, field, 'images that are no base64 data: URI');
  return url.slice(head[0].length);
}

/** The API wants an object where OpenAI's has its JSON text. */
function argumentsOf(json: string, field: string): unknown {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    // Refused below: to the caller it makes no difference whether it is no JSON or no object.
  }
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed;
  throw invalidField(`${field}.function.arguments`, 'must be the JSON text of an object');
}

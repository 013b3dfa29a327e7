import { type Chat, type ChatMessage, type ContentPart, Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import type { EngineCapabilities } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { unsupportedField } from './openai-errors.ts';

/** JSON of the upstream API. */
export type Json = Readonly<Record<string, unknown>>;

const ROLES: Readonly<Record<number, string>> = {
  [Role.SYSTEM]: 'system',
  // Templates know `system`; `developer` is the same in newer words.
  [Role.DEVELOPER]: 'system',
  [Role.USER]: 'user',
  [Role.ASSISTANT]: 'assistant',
  [Role.TOOL]: 'tool',
};

/** A conversation in the form of the OpenAI API. */
export function openAiMessages(chat: Chat): readonly Json[] {
  return chat.messages.map(openAiMessage);
}

/**
 * Refuses what of a conversation the engine cannot take.
 *
 * @throws MeshError UNSUPPORTED_FIELD that names the first such field, e.g. "messages.2.content.0".
 */
export function refuseUnsupportedChat(chat: Chat, capabilities: EngineCapabilities, engine: string): void {
  if (!capabilities.chat) throw unsupportedField(engine, 'messages');
  for (const [index, message] of chat.messages.entries()) {
    const field = `messages.${index}`;
    const media = capabilities.images ? -1 : message.parts.findIndex(isMedia);
    if (media !== -1) {
      const kind = message.parts[media]?.part.case === 'imageUrl' ? 'images' : 'audio';
      throw unsupportedField(engine, `${field}.content.${media}`, kind);
    }
    if (capabilities.tools) continue;
    if (message.toolCalls.length > 0) throw unsupportedField(engine, `${field}.tool_calls`, 'tools');
    if (message.role === Role.TOOL) throw unsupportedField(engine, `${field}.role`, 'tools');
  }
}

function isMedia({ part }: ContentPart): boolean {
  return part.case === 'imageUrl' || part.case === 'inputAudio';
}

function openAiMessage(message: ChatMessage): Json {
  return {
    role: ROLES[message.role] ?? 'user',
    content: content(message.parts),
    ...(message.name === undefined ? {} : { name: message.name }),
    ...(message.toolCallId === undefined ? {} : { tool_call_id: message.toolCallId }),
    ...(message.toolCalls.length === 0
      ? {}
      : {
          tool_calls: message.toolCalls.map(({ id, name, arguments: json }) => ({
            id,
            type: 'function',
            function: { name, arguments: json },
          })),
        }),
  };
}

/** A single text goes as a string: many templates know nothing else. */
function content(parts: readonly ContentPart[]): unknown {
  const first = parts[0];
  if (!first) return null;
  if (parts.length === 1 && first.part.case === 'text') return first.part.value;
  return parts.map(contentPart);
}

function contentPart({ part }: ContentPart): Json {
  switch (part.case) {
    case 'imageUrl':
      return { type: 'image_url', image_url: { url: part.value } };
    case 'inputAudio': {
      const { data, format } = part.value;
      return { type: 'input_audio', input_audio: { data: Buffer.from(data).toString('base64'), format } };
    }
    case 'refusal':
      return { type: 'refusal', refusal: part.value };
    default:
      return { type: 'text', text: part.value ?? '' };
  }
}

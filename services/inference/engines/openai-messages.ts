import { type Chat, type ChatMessage, type ContentPart, Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';

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

/** Whether a conversation holds anything but text. */
export function hasMedia(chat: Chat): boolean {
  return chat.messages.some((message) =>
    message.parts.some(({ part }) => part.case === 'imageUrl' || part.case === 'inputAudio'),
  );
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

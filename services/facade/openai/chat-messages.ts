import type { MessageInitShape } from '@bufbuild/protobuf';
import { type ChatMessageSchema, type ContentPartSchema, Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { ChatMessageBody } from './chat-message-schema.ts';

type MessageInit = MessageInitShape<typeof ChatMessageSchema>;
type PartInit = MessageInitShape<typeof ContentPartSchema>;
type PartBody = Exclude<NonNullable<ChatMessageBody['content']>, string>[number];

const ROLES = {
  system: Role.SYSTEM,
  developer: Role.DEVELOPER,
  user: Role.USER,
  assistant: Role.ASSISTANT,
  tool: Role.TOOL,
} as const;

/**
 * The messages of a chat body → those of the contract.
 *
 * @throws MeshError INVALID_FIELD for an assistant message that says nothing.
 */
export function chatMessages(messages: readonly ChatMessageBody[]): MessageInit[] {
  return messages.map(messageOf);
}

function messageOf(message: ChatMessageBody, index: number): MessageInit {
  const init: MessageInit = {
    role: ROLES[message.role],
    parts: partsOf(message.content),
    name: message.name ?? undefined,
  };
  if (message.role === 'tool') init.toolCallId = message.tool_call_id;
  if (message.role !== 'assistant') return init;
  if (message.refusal) init.parts = [...(init.parts ?? []), { part: { case: 'refusal', value: message.refusal } }];
  init.toolCalls = message.tool_calls?.map(({ id, function: call }) => ({ id, ...call })) ?? [];
  if (init.parts?.length === 0 && init.toolCalls.length === 0) {
    throw invalidField(`messages.${index}.content`, 'this field is required unless the message has tool_calls');
  }
  return init;
}

function partsOf(content: ChatMessageBody['content']): PartInit[] {
  if (content == null) return [];
  if (typeof content === 'string') return [{ part: { case: 'text', value: content } }];
  return content.map(partOf);
}

function partOf(part: PartBody): PartInit {
  switch (part.type) {
    case 'text':
      return { part: { case: 'text', value: part.text } };
    case 'refusal':
      return { part: { case: 'refusal', value: part.refusal } };
    case 'image_url':
      return { part: { case: 'imageUrl', value: part.image_url.url } };
    case 'input_audio': {
      const data = new Uint8Array(Buffer.from(part.input_audio.data, 'base64'));
      return { part: { case: 'inputAudio', value: { data, format: part.input_audio.format } } };
    }
  }
}

import { type ChatMessage, type ContentPart, Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { ChatMessageBody } from './chat-message-schema.ts';

type Part = ContentPart['part'];
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
export function chatMessages(messages: readonly ChatMessageBody[]): ChatMessage[] {
  return messages.map(messageOf);
}

function messageOf(message: ChatMessageBody, index: number): ChatMessage {
  const made: ChatMessage = {
    $typeName: 'mesh.generation.v1.ChatMessage',
    role: ROLES[message.role],
    parts: partsOf(message.content),
    toolCalls: [],
    toolCallId: message.role === 'tool' ? message.tool_call_id : undefined,
    name: message.name ?? undefined,
  };
  if (message.role !== 'assistant') return made;
  if (message.refusal) made.parts.push(contentPart({ case: 'refusal', value: message.refusal }));
  for (const { id, function: call } of message.tool_calls ?? []) {
    made.toolCalls.push({ $typeName: 'mesh.generation.v1.ToolCall', id, name: call.name, arguments: call.arguments });
  }
  if (made.parts.length === 0 && made.toolCalls.length === 0) {
    throw invalidField(`messages.${index}.content`, 'this field is required unless the message has tool_calls');
  }
  return made;
}

function partsOf(content: ChatMessageBody['content']): ContentPart[] {
  if (content == null) return [];
  if (typeof content === 'string') return [contentPart({ case: 'text', value: content })];
  return content.map((part) => contentPart(partOf(part)));
}

/** Written out, as the messages are: made from a part of their fields they cost as much as their check. */
function contentPart(part: Part): ContentPart {
  return { $typeName: 'mesh.generation.v1.ContentPart', part };
}

function partOf(part: PartBody): Part {
  switch (part.type) {
    case 'text':
      return { case: 'text', value: part.text };
    case 'refusal':
      return { case: 'refusal', value: part.refusal };
    case 'image_url':
      return { case: 'imageUrl', value: part.image_url.url };
    case 'input_audio': {
      const data = new Uint8Array(Buffer.from(part.input_audio.data, 'base64'));
      const { format } = part.input_audio;
      return { case: 'inputAudio', value: { $typeName: 'mesh.generation.v1.InputAudio', data, format } };
    }
  }
}

import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { ChatMessageBody } from '../openai/chat-message-schema.ts';
import { chatRequest } from '../openai/chat-request.ts';
import type { ChatBody } from '../openai/chat-schema.ts';
import { sharedFields } from '../openai/shared-fields.ts';
import type { AssistantBlock, UserBlock } from './content-schema.ts';
import { type MessagesBody, messagesBodySchema } from './messages-schema.ts';

/** Longest label of an end user that the contract takes. */
const MAX_USER_LENGTH = 256;

/**
 * The body of `POST /v1/messages` → the request to the router: the same generation as the chat that it amounts to.
 *
 * @throws MeshError INVALID_FIELD for a conversation that ends with the start of the answer.
 */
export function messagesRequest(body: MessagesBody): GenerateRequest {
  const last = body.messages.length - 1;
  if (body.messages[last]?.role === 'assistant') {
    throw invalidField(
      `messages.${last}.role`,
      'the start of an answer cannot be given; end with a message of the user',
    );
  }
  const { format, effort } = body.output_config ?? {};
  const chat: ChatBody = {
    ...sharedFields(body, messagesBodySchema.shape),
    messages: messagesOf(body),
    stop: body.stop_sequences,
    user: body.metadata?.user_id?.slice(0, MAX_USER_LENGTH) ?? body.user,
    reasoning_effort: effort,
    response_format: format && { type: 'json_schema', json_schema: { name: 'answer', schema: format.schema } },
    tools: body.tools?.map(({ name, description, input_schema: parameters, strict }) => ({
      type: 'function',
      function: { name, description, parameters, strict },
    })),
    tool_choice: toolChoiceOf(body.tool_choice),
  };
  return chatRequest(chat);
}

function toolChoiceOf(choice: MessagesBody['tool_choice']): ChatBody['tool_choice'] {
  if (choice == null) return undefined;
  if (choice.type === 'tool') return { type: 'function', function: { name: choice.name } };
  return choice.type === 'any' ? 'required' : choice.type;
}

function messagesOf({ system, messages }: MessagesBody): ChatMessageBody[] {
  const chat: ChatMessageBody[] = [];
  if (system) chat.push({ role: 'system', content: system });
  for (const message of messages) {
    const { role, content } = message;
    if (typeof content === 'string') chat.push({ role, content });
    else if (message.role === 'user') chat.push(...userMessages(message.content));
    else if (message.role === 'assistant') chat.push(assistantMessage(message.content));
    else chat.push({ role: 'system', content: message.content });
  }
  return chat;
}

/** Results of tools are messages of their own, before what the user says beside them. */
function userMessages(content: string | readonly UserBlock[]): ChatMessageBody[] {
  if (typeof content === 'string') return [{ role: 'user', content }];
  const results: ChatMessageBody[] = [];
  const said: Exclude<Extract<ChatMessageBody, { role: 'user' }>['content'], string> = [];
  for (const block of content) {
    if (block.type === 'tool_result') {
      results.push({ role: 'tool', tool_call_id: block.tool_use_id, content: block.content ?? '' });
    } else if (block.type === 'text') said.push(block);
    else said.push({ type: 'image_url', image_url: { url: urlOf(block.source) } });
  }
  return said.length > 0 || results.length === 0 ? [...results, { role: 'user', content: said }] : results;
}

function urlOf(source: Extract<UserBlock, { type: 'image' }>['source']): string {
  return source.type === 'url' ? source.url : `data:${source.media_type};base64,${source.data}`;
}

function assistantMessage(content: string | readonly AssistantBlock[]): ChatMessageBody {
  if (typeof content === 'string') return { role: 'assistant', content };
  const calls = content.flatMap((block) =>
    block.type === 'tool_use'
      ? [
          {
            id: block.id,
            type: 'function' as const,
            function: { name: block.name, arguments: JSON.stringify(block.input) },
          },
        ]
      : [],
  );
  const said = content.flatMap((block) => (block.type === 'text' ? [block] : []));
  // It may have thought only.
  return { role: 'assistant', content: said.length + calls.length > 0 ? said : '', tool_calls: calls };
}

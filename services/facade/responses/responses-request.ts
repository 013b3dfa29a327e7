import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { ChatMessageBody } from '../openai/chat-message-schema.ts';
import { chatRequest } from '../openai/chat-request.ts';
import type { ChatBody } from '../openai/chat-schema.ts';
import { engineOptionsOf } from '../openai/sampling.ts';
import { samplingFields } from '../openai/sampling-fields.ts';
import type { InputItem, SaidPart, TextPart, UserPart } from './input-schema.ts';
import { type ResponsesBody, responsesBodySchema } from './responses-schema.ts';

/** The body of `POST /v1/responses` → the request to the router: the same generation as the chat that it amounts to. */
export function responsesRequest(body: ResponsesBody): GenerateRequest {
  const sampling = Object.fromEntries(Object.entries(body).filter(([name]) => Object.hasOwn(samplingFields, name)));
  const chat: ChatBody = {
    ...engineOptionsOf(body, responsesBodySchema.shape),
    ...sampling,
    model: body.model,
    messages: messagesOf(body),
    max_completion_tokens: body.max_output_tokens,
    logprobs: body.include?.includes('message.output_text.logprobs') ?? false,
    top_logprobs: body.top_logprobs,
    reasoning_effort: body.reasoning?.effort,
    tools: body.tools?.map(({ type, ...tool }) => ({ type, function: tool })),
    tool_choice: toolChoiceOf(body.tool_choice),
    response_format: formatOf(body.text?.format),
  };
  return chatRequest(chat);
}

function toolChoiceOf(choice: ResponsesBody['tool_choice']): ChatBody['tool_choice'] {
  if (choice == null || typeof choice === 'string') return choice;
  return { type: 'function', function: { name: choice.name } };
}

function formatOf(format: NonNullable<ResponsesBody['text']>['format']): ChatBody['response_format'] {
  if (format?.type !== 'json_schema') return format;
  const { type, ...schema } = format;
  return { type, json_schema: schema };
}

function messagesOf({ instructions, input }: ResponsesBody): ChatMessageBody[] {
  const messages: ChatMessageBody[] = [];
  if (instructions) messages.push({ role: 'system', content: instructions });
  if (typeof input === 'string') messages.push({ role: 'user', content: input });
  else for (const item of input) append(messages, item);
  return messages;
}

/** A call belongs to the message of the assistant before it: a conversation has them in one turn. */
function append(messages: ChatMessageBody[], item: InputItem): void {
  switch (item.type) {
    case 'message':
      messages.push(messageOf(item));
      break;
    case 'function_call': {
      const { call_id: id, name, arguments: text } = item;
      const call = { id, type: 'function' as const, function: { name, arguments: text } };
      const last = messages.at(-1);
      if (last?.role === 'assistant') last.tool_calls = [...(last.tool_calls ?? []), call];
      else messages.push({ role: 'assistant', tool_calls: [call] });
      break;
    }
    case 'function_call_output':
      messages.push({ role: 'tool', tool_call_id: item.call_id, content: contentOf(item.output, textPart) });
      break;
    case 'reasoning':
      break;
  }
}

function messageOf(message: Extract<InputItem, { type: 'message' }>): ChatMessageBody {
  switch (message.role) {
    case 'user':
      return { role: message.role, content: contentOf(message.content, userPart) };
    case 'assistant':
      return { role: message.role, content: contentOf(message.content, saidPart) };
    default:
      return { role: message.role, content: contentOf(message.content, textPart) };
  }
}

function contentOf<From, To>(content: string | readonly From[], translate: (part: From) => To): string | To[] {
  return typeof content === 'string' ? content : content.map(translate);
}

type ChatPart<R extends ChatMessageBody['role']> = Exclude<
  NonNullable<Extract<ChatMessageBody, { role: R }>['content']>,
  string
>[number];

function userPart(part: UserPart): ChatPart<'user'> {
  switch (part.type) {
    case 'input_image':
      return { type: 'image_url', image_url: { url: part.image_url } };
    case 'input_audio':
      return part;
    default:
      return { type: 'text', text: part.text };
  }
}

function saidPart(part: SaidPart): ChatPart<'assistant'> {
  return part.type === 'refusal' ? part : { type: 'text', text: part.text };
}

function textPart({ text }: TextPart): ChatPart<'system'> {
  return { type: 'text', text };
}

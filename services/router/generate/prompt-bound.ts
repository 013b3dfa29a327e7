/**
 * The most tokens that a prompt can have, without a tokenizer.
 *
 * Every token of a tokenizer with bytes or pieces of text as vocabulary stands for at least one byte of UTF-8, so a text has
 * no more tokens than bytes. A tokenizer may bring the text into another normal form first; the longest of them are the two
 * that decompose: the one for compatibility makes some characters longer and others shorter. What a chat template adds is the model's own matter: the allowances below are over what the
 * templates of common models add (role marks, a default system text, the instructions for tools, JSON with indentation).
 * What a template adds beyond them is corrected when the engine tells its count, and no limit is ever exceeded by it.
 */
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { ChatMessage, ContentPart, Prompt } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { promptsOf } from './choices.ts';

/** Begin and end marks of a prompt that is continued as it is. */
const TEXT_TOKENS = 4;
/** What a template adds to a conversation: marks, a default system text, the opening of the answer. */
const CHAT_TOKENS = 128;
/** Marks around one message, its role included. */
const MESSAGE_TOKENS = 16;
/** The instructions for the use of tools. */
const TOOLS_TOKENS = 512;
/** What is written around one tool, or one call of a tool. */
const TOOL_TOKENS = 32;
/** JSON that is written with indentation. */
const JSON_GROWTH = 2;
/** The most that an image is cut into by models that say so: 16,384 patches. */
const IMAGE_TOKENS = 16_384;
/** A clip of 30 seconds, to which shorter ones are filled up. A longer one has more bytes than tokens. */
const AUDIO_TOKENS = 1_500;

interface Described {
  readonly name: string;
  readonly description: string;
  readonly parameters?: object | undefined;
}

/** An upper bound of the length of the (first) prompt in tokens, with all that is written into it. Pure. */
export function promptBound(request: GenerateRequest): number {
  return promptTextBound(request.prompt) + besidesBound(request);
}

/** The same of each prompt of the request. Pure. */
export function promptBounds(request: GenerateRequest): number[] {
  const besides = besidesBound(request);
  return promptsOf(request).map((prompt) => promptTextBound(prompt) + besides);
}

/** What a request may have an engine write into the prompt besides its own text: tools, a schema, documents, a suffix. */
export type Besides = Pick<GenerateRequest, 'tools' | 'engineOptions' | 'responseFormat'>;

/** How many tokens that is at most; 0: there is nothing. */
export function besidesBound({ tools, engineOptions, responseFormat }: Besides): number {
  const format = responseFormat?.format;
  const schema = format?.case === 'jsonSchema' ? format.value : undefined;
  return (
    (tools.length > 0 ? TOOLS_TOKENS + sum(tools, describedBound) : 0) +
    (schema ? describedBound({ ...schema, parameters: schema.schema }) : 0) +
    (engineOptions ? jsonBound(engineOptions) : 0)
  );
}

/** An upper bound of a prompt by itself. */
export function promptTextBound(prompt: Prompt | undefined): number {
  const input = prompt?.input;
  switch (input?.case) {
    case 'text':
      return TEXT_TOKENS + textBound(input.value);
    case 'tokenIds':
      return TEXT_TOKENS + input.value.ids.length;
    case 'chat': {
      const { messages, templateOptions } = input.value;
      return CHAT_TOKENS + (templateOptions ? jsonBound(templateOptions) : 0) + sum(messages, messageBound);
    }
    default:
      return 0;
  }
}

/** Whether text is all that the prompt has, so that a tokenizer can count it. */
export function isTextOnly({ prompt }: Pick<GenerateRequest, 'prompt'>): boolean {
  if (prompt?.input.case !== 'chat') return true;
  return prompt.input.value.messages.every(({ parts }) =>
    parts.every(({ part }) => part.case === 'text' || part.case === 'refusal'),
  );
}

/** A tool, or a schema of the answer. */
function describedBound({ name, description, parameters }: Described): number {
  return TOOL_TOKENS + textBound(name) + textBound(description) + (parameters ? jsonBound(parameters) : 0);
}

function messageBound({ parts, toolCalls, toolCallId, name }: ChatMessage): number {
  const calls = sum(toolCalls, (call) => {
    return TOOL_TOKENS + textBound(call.id) + textBound(call.name) + JSON_GROWTH * textBound(call.arguments);
  });
  return MESSAGE_TOKENS + textBound(name ?? '') + textBound(toolCallId ?? '') + sum(parts, partBound) + calls;
}

function partBound({ part }: ContentPart): number {
  switch (part.case) {
    case 'text':
    case 'refusal':
      return textBound(part.value);
    case 'imageUrl':
      return IMAGE_TOKENS;
    case 'inputAudio':
      return AUDIO_TOKENS + part.value.data.length;
    default:
      return 0;
  }
}

function textBound(text: string): number {
  const bytes = Buffer.byteLength(text);
  // Plain ASCII is the same in every normal form.
  if (bytes === text.length) return bytes;
  return Math.max(bytes, ...['NFD', 'NFKD'].map((form) => Buffer.byteLength(text.normalize(form))));
}

function jsonBound(value: unknown): number {
  return JSON_GROWTH * textBound(JSON.stringify(value));
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  let total = 0;
  for (const item of items) total += of(item);
  return total;
}

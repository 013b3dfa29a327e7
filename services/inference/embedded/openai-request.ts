import { z } from 'zod';
import type { ChatMessage } from './chat-template.ts';
import { answerGrammar } from './json-answer.ts';
import type { SamplerConfig } from './llama-binding.ts';
import { RequestError } from './request-error.ts';
import {
  type CommonBody,
  chatLogprobFields,
  commonFields,
  completionLogprobFields,
  messagesField,
  parseBody,
  promptField,
} from './request-fields.ts';
import { samplerConfig } from './sampler-config.ts';

export type PromptSource =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'tokens'; readonly tokens: readonly number[] }
  | { readonly kind: 'chat'; readonly messages: readonly ChatMessage[] };

/** The start of an answer: its tokens, or its text where they are not known. */
export type ContinuedAnswer =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'tokens'; readonly tokens: readonly number[] };

export type CompletionRequest = {
  readonly prompt: PromptSource;
  /** What of the answer there is already. */
  readonly continued: ContinuedAnswer | undefined;
  /** What was asked for, to be echoed. */
  readonly model: string | undefined;
  readonly stream: boolean;
  /** A last event with the usage. */
  readonly includeUsage: boolean;
  /** Usage so far in every event. */
  readonly continuousUsage: boolean;
  readonly returnTokenIds: boolean;
  /** Undefined: as many as the context leaves. */
  readonly maxTokens: number | undefined;
  readonly stops: readonly string[];
  readonly samplerConfig: SamplerConfig;
  /** Go on past the tokens that end a generation. */
  readonly ignoreEnd: boolean;
  /** How many alternatives to tell beside each token; undefined: no log-probabilities. */
  readonly topLogprobs: number | undefined;
  /** What the text must follow, in llama.cpp's notation; undefined: nothing. */
  readonly grammar: string | undefined;
};

const chatBody = z.object({
  ...commonFields,
  ...chatLogprobFields,
  messages: messagesField,
  max_completion_tokens: commonFields.max_tokens,
});
const completionBody = z.object({ ...commonFields, ...completionLogprobFields, prompt: promptField });
const tokenizeBody = z.object({
  content: z.string().optional(),
  prompt: promptField.optional(),
  messages: messagesField.optional(),
});

/** OpenAI's default for text completions. */
const DEFAULT_COMPLETION_TOKENS = 16;

/** `vocabularySize` bounds the token ids in `logit_bias`. */
export function parseChatRequest(body: unknown, vocabularySize: number): CompletionRequest {
  const parsed = parseBody(chatBody, body);
  const { messages, max_completion_tokens: maxCompletionTokens, logprobs, top_logprobs: top = 0, ...common } = parsed;
  if (top > 0 && logprobs !== true) {
    throw new RequestError(400, "'top_logprobs' needs 'logprobs': true.", {
      param: 'top_logprobs',
      code: 'invalid_value',
    });
  }
  return completionRequest(
    common,
    { kind: 'chat', messages: chatMessages(messages) },
    maxCompletionTokens ?? common.max_tokens,
    logprobs === true ? top : undefined,
    vocabularySize,
  );
}

/** `vocabularySize` bounds the token ids in `prompt` and `logit_bias`. */
export function parseCompletionRequest(body: unknown, vocabularySize: number): CompletionRequest {
  const { prompt, logprobs, ...common } = parseBody(completionBody, body);
  const maxTokens = common.max_tokens ?? DEFAULT_COMPLETION_TOKENS;
  return completionRequest(common, promptSource(prompt, vocabularySize), maxTokens, logprobs, vocabularySize);
}

/** `{content}`, `{prompt}` or `{messages}`, exactly one of them. */
export function parseTokenizeRequest(body: unknown, vocabularySize: number): PromptSource {
  const { content, prompt, messages } = parseBody(tokenizeBody, body);
  if ([content, prompt, messages].filter((value) => value !== undefined).length !== 1) {
    throw new RequestError(400, "Give exactly one of 'content', 'prompt' and 'messages'.", { code: 'invalid_value' });
  }
  if (messages !== undefined) return { kind: 'chat', messages: chatMessages(messages) };
  return content === undefined ? promptSource(prompt ?? '', vocabularySize) : { kind: 'text', text: content };
}

function chatMessages(messages: z.output<typeof messagesField>): ChatMessage[] {
  return messages.map(({ role, content }) => ({
    role: role === 'developer' ? 'system' : role,
    content: typeof content === 'string' ? content : content.map((part) => part.text).join('\n'),
  }));
}

function promptSource(prompt: z.output<typeof promptField>, vocabularySize: number): PromptSource {
  if (typeof prompt === 'string') return { kind: 'text', text: prompt };
  const tokens = prompt.filter((item) => typeof item === 'number');
  if (tokens.length === 0) return { kind: 'text', text: String(prompt[0] ?? '') };
  checkTokens(tokens, 'prompt', vocabularySize);
  return { kind: 'tokens', tokens };
}

function continuedAnswer(body: CommonBody, vocabularySize: number): ContinuedAnswer | undefined {
  const { continue_text: text, continue_token_ids: tokens } = body;
  if (tokens === undefined) return text === undefined ? undefined : { kind: 'text', text };
  checkTokens(tokens, 'continue_token_ids', vocabularySize);
  return { kind: 'tokens', tokens };
}

function checkTokens(tokens: readonly number[], param: string, vocabularySize: number): void {
  if (tokens.every((token) => token < vocabularySize)) return;
  const message = `A token id in '${param}' is not below ${vocabularySize}, the size of the vocabulary.`;
  throw new RequestError(400, message, { param, code: 'invalid_value' });
}

function completionRequest(
  body: CommonBody,
  prompt: PromptSource,
  maxTokens: number | undefined,
  topLogprobs: number | undefined,
  vocabularySize: number,
): CompletionRequest {
  return {
    prompt,
    continued: continuedAnswer(body, vocabularySize),
    model: body.model,
    stream: body.stream ?? false,
    includeUsage: body.stream_options?.include_usage ?? false,
    continuousUsage: body.stream_options?.continuous_usage_stats ?? false,
    returnTokenIds: body.return_token_ids ?? false,
    maxTokens,
    stops: body.stop === undefined ? [] : [body.stop].flat(),
    samplerConfig: samplerConfig(body, vocabularySize),
    ignoreEnd: body.ignore_eos ?? false,
    topLogprobs,
    grammar: answerGrammar(body, topLogprobs),
  };
}

import {
  type GenerateRequest,
  type ResponseFormat,
  type Tool,
  ToolMode,
} from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Chat } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { Abilities } from './ollama-abilities.ts';
import { hasImages, ollamaMessages } from './ollama-messages.ts';
import { ollamaOptions, refuseUnsupportedSampling } from './ollama-sampling.ts';
import { unsupportedField } from './openai-errors.ts';
import type { Json } from './openai-messages.ts';

/** What a request is translated for. */
export interface OllamaTarget {
  /** The engine's name, for errors. */
  readonly engine: string;
  /** The model's name there. */
  readonly model: string;
  /** The context to ask for, in tokens; another one than the loaded model's loads it anew. Unset: as the server has it. */
  readonly contextTokens?: number | undefined;
  /** Whether others use the server too, with its defaults. */
  readonly shared?: boolean | undefined;
  /** What the server says the model can do, e.g. "vision". Unset: it does not say. */
  readonly abilities?: Abilities;
}

/** A request for Ollama's own API. */
export interface OllamaRequest {
  readonly path: '/api/chat' | '/api/generate';
  readonly body: Json;
  /** The request's field that asks for reasoning, for errors. */
  readonly thinkField: string;
}

/**
 * Part of every request to a server of our own, the one that loads included: another value would load the model anew. It
 * ends an answer where the context ends; by default the beginning would be forgotten and the answer go on for ever.
 */
export const NO_SHIFT = { shift: false } as const;

/**
 * GenerateRequest → body of Ollama's own API, always streaming. Pure.
 *
 * A prompt that does not fit is refused by the server: by default it would drop messages, and later tokens, silently.
 *
 * @throws MeshError UNSUPPORTED_FIELD for what the engine cannot honour, INVALID_FIELD.
 */
export function ollamaRequest(request: GenerateRequest, target: OllamaTarget): OllamaRequest {
  const { engine, model } = target;
  refuseUnsupportedSampling(request.sampling, engine);
  if (request.continuation) throw unsupportedField(engine, 'continuation');
  const input = request.prompt?.input;
  const think = thinkOf(request, input?.case === 'chat' ? input.value : undefined, engine);
  const thinkField = request.sampling?.reasoningEffort === undefined ? THINK_OPTION : 'reasoning_effort';
  const { abilities } = target;
  if (think && isUnable(abilities, 'thinking')) throw unsupportedField(engine, thinkField);
  if (isUnable(abilities, 'completion')) {
    throw unsupportedField(engine, input?.case === 'chat' ? 'messages' : 'prompt', 'generation');
  }
  const { logprobs, topLogprobs } = request.sampling ?? {};
  const body = {
    model,
    stream: true,
    truncate: false,
    ...(target.shared ? {} : NO_SHIFT),
    options: { ...ollamaOptions(request, engine), ...contextOf(target) },
    ...(think === undefined ? {} : { think }),
    ...(logprobs ? { logprobs: true, top_logprobs: topLogprobs ?? 0 } : {}),
    ...(request.responseFormat ? { format: format(request.responseFormat) } : {}),
  };
  switch (input?.case) {
    case 'chat':
      if (isUnable(abilities, 'vision') && hasImages(input.value)) {
        throw unsupportedField(engine, 'messages', 'images');
      }
      if (request.echoPrompt) throw unsupportedField(engine, 'echo');
      return {
        path: '/api/chat',
        body: { ...body, messages: ollamaMessages(input.value, engine), ...tools(request, target) },
        thinkField,
      };
    case 'text':
      if (request.tools.length > 0) throw unsupportedField(engine, 'tools', 'tools without messages');
      if (request.echoPrompt) throw unsupportedField(engine, 'echo');
      // Raw: without it the model's chat template would be put around the text.
      return { path: '/api/generate', body: { ...body, prompt: input.value, raw: true }, thinkField };
    case 'tokenIds':
      throw unsupportedField(engine, 'prompt', 'token ids');
    default:
      throw invalidField('prompt', 'is missing');
  }
}

/** Whether the server says what the model can do, and not that. */
function isUnable(abilities: Abilities, ability: string): boolean {
  return abilities?.has(ability) === false;
}

function contextOf({ contextTokens }: OllamaTarget): Json {
  return contextTokens === undefined ? {} : { num_ctx: contextTokens };
}

/** Without a tool choice of its own, "none" is to offer no tools. */
function tools({ tools, toolChoice }: GenerateRequest, { engine, abilities }: OllamaTarget): Json {
  const choice = toolChoice?.choice;
  const forced = choice?.case === 'function' || choice?.value === ToolMode.REQUIRED;
  if (forced) throw unsupportedField(engine, 'tool_choice', 'a forced tool call');
  if (tools.length === 0 || choice?.value === ToolMode.NONE) return {};
  if (isUnable(abilities, 'tools')) throw unsupportedField(engine, 'tools');
  return { tools: tools.map((tool, index) => ollamaTool(tool, index, engine)) };
}

function ollamaTool({ name, description, parameters, strict }: Tool, index: number, engine: string): Json {
  if (strict) throw unsupportedField(engine, `tools.${index}.function.strict`);
  return {
    type: 'function',
    function: {
      name,
      ...(description === '' ? {} : { description }),
      parameters: parameters ?? { type: 'object', properties: {} },
    },
  };
}

function format({ format }: ResponseFormat): unknown {
  return format.case === 'jsonSchema' ? (format.value.schema ?? {}) : 'json';
}

/** The template option that most reasoning models know. */
const THINK_OPTION = 'chat_template_kwargs.enable_thinking';

const EFFORTS = new Set(['low', 'medium', 'high', 'max']);

/** From `reasoning_effort`, or from the template option. Unset: the model's default. */
function thinkOf({ sampling }: GenerateRequest, chat: Chat | undefined, engine: string): unknown {
  let think: unknown;
  for (const [option, value] of Object.entries(chat?.templateOptions ?? {})) {
    const field = `chat_template_kwargs.${option}`;
    if (field !== THINK_OPTION || typeof value !== 'boolean') {
      throw unsupportedField(engine, field);
    }
    think = value;
  }
  const effort = sampling?.reasoningEffort;
  if (effort === undefined) return think;
  if (effort === 'none') return false;
  if (EFFORTS.has(effort)) return effort;
  throw invalidField('reasoning_effort', `must be none, ${[...EFFORTS].join(', ')} on the engine '${engine}'`);
}

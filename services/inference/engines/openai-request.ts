import type {
  GenerateRequest,
  ResponseFormat,
  SamplingParameters,
  Tool,
} from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { ToolMode } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { EngineCapabilities } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import { isNeutral } from '../neutral-values.ts';
import { type ChatContinuation, continuing } from './openai-continuation.ts';
import { unsupportedField } from './openai-errors.ts';
import { type Json, openAiMessages, refuseUnsupportedChat } from './openai-messages.ts';

/** What an OpenAI-compatible server understands. */
export interface OpenAiDialect {
  /** The engine's name, for errors. */
  readonly engine: string;
  readonly capabilities: EngineCapabilities;
  /** The body fields that it honours. Unset: any; it refuses by itself what it does not know. */
  readonly fields?: ReadonlySet<string>;
  /**
   * What to ask for when a text or token prompt comes without max_tokens, whose default upstream is 16. Unset: nothing.
   */
  readonly unboundedTokens?: number | undefined;
  /** How it goes on with a conversation whose answer has begun. Unset: it does not. */
  readonly chatContinuation?: ChatContinuation | undefined;
  /** Whether its stream counts tokens in every chunk when asked to. */
  readonly continuousUsage: boolean;
}

/** A request for the upstream API. */
export interface OpenAiRequest {
  /** Below the base URL. */
  readonly path: '/chat/completions' | '/completions';
  readonly body: Json;
  /** How many completions it makes. */
  readonly choices: number;
}

/** Fields that the mesh sets itself or has a field of its own for: an engine option must not override them. */
const OWN_FIELDS = new Set([
  'model',
  'messages',
  'prompt',
  'stream',
  'stream_options',
  'n',
  'max_tokens',
  'max_completion_tokens',
  'tools',
  'tool_choice',
  'response_format',
  'continue_text',
  'continue_token_ids',
]);

/**
 * GenerateRequest → body of the upstream API, always streaming. Pure.
 *
 * @throws MeshError UNSUPPORTED_FIELD for what the engine cannot honour, INVALID_FIELD.
 */
export function openAiRequest(request: GenerateRequest, modelId: string, dialect: OpenAiDialect): OpenAiRequest {
  const { sampling } = request;
  const start = continuing(request, dialect.engine, dialect.capabilities, dialect.chatContinuation);
  const body: Record<string, unknown> = {
    ...engineOptions(request),
    model: modelId,
    ...unbounded(request, dialect),
    ...prompt(start.prompt),
    ...start.fields,
    ...(sampling ? samplingFields(sampling, request.prompt?.input.case === 'chat') : {}),
    ...(request.tools.length > 0 ? { tools: request.tools.map(tool) } : {}),
    ...toolChoice(request),
    ...(request.responseFormat ? { response_format: responseFormat(request.responseFormat) } : {}),
    ...(request.echoPrompt ? { echo: true } : {}),
  };
  leaveOutNeutral(body, dialect);
  refuseUnsupported(request, body, dialect);
  body.stream = true;
  body.stream_options = dialect.continuousUsage
    ? { include_usage: true, continuous_usage_stats: true }
    : { include_usage: true };
  return {
    path: request.prompt?.input.case === 'chat' ? '/chat/completions' : '/completions',
    body,
    choices: sampling?.choices ?? 1,
  };
}

/** What the engine does not know and what changes nothing is no reason to refuse. */
function leaveOutNeutral(body: Record<string, unknown>, { fields }: OpenAiDialect): void {
  if (!fields) return;
  for (const [field, value] of Object.entries(body)) {
    if (!fields.has(field) && isNeutral(field, value)) delete body[field];
  }
}

function refuseUnsupported(request: GenerateRequest, body: Json, dialect: OpenAiDialect): void {
  const { capabilities, engine, fields } = dialect;
  const input = request.prompt?.input;
  const refuse = (field: string, needed: boolean, able: boolean): void => {
    if (needed && !able) throw unsupportedField(engine, field);
  };
  refuse('prompt', input?.case === 'tokenIds', capabilities.tokenPrompts);
  refuse('tools', body.tools !== undefined, capabilities.tools);
  if (input?.case === 'chat') refuseUnsupportedChat(input.value, capabilities, engine);
  refuse('response_format', body.response_format !== undefined, capabilities.json);
  refuse('logprobs', body.logprobs !== undefined, capabilities.logprobs);
  refuse('logit_bias', body.logit_bias !== undefined, capabilities.logitBias);
  refuse('n', (request.sampling?.choices ?? 1) > 1, capabilities.choices);
  refuse('return_token_ids', body.return_token_ids !== undefined, capabilities.tokenIds);
  if (!fields) return;
  for (const field of Object.keys(body)) refuse(field, true, fields.has(field));
}

function engineOptions(request: GenerateRequest): Json {
  const options = request.engineOptions;
  if (!options) return {};
  for (const field of Object.keys(options)) {
    if (OWN_FIELDS.has(field)) throw invalidField(field, 'is not an engine option, it has a field of its own');
  }
  return options;
}

function unbounded(request: GenerateRequest, { unboundedTokens }: OpenAiDialect): Json {
  return unboundedTokens === undefined || request.prompt?.input.case === 'chat' ? {} : { max_tokens: unboundedTokens };
}

function prompt(prompt: GenerateRequest['prompt']): Json {
  const input = prompt?.input;
  switch (input?.case) {
    case 'chat': {
      const template = input.value.templateOptions;
      return { messages: openAiMessages(input.value), ...(template ? { chat_template_kwargs: template } : {}) };
    }
    case 'text':
      return { prompt: input.value };
    case 'tokenIds':
      return { prompt: input.value.ids };
    default:
      throw invalidField('prompt', 'is missing');
  }
}

function samplingFields(sampling: SamplingParameters, isChat: boolean): Json {
  const fields: Record<string, unknown> = {};
  const set = (name: string, value: unknown): void => {
    if (value !== undefined) fields[name] = value;
  };
  set('max_tokens', sampling.maxTokens);
  set('temperature', sampling.temperature);
  set('top_p', sampling.topP);
  set('top_k', sampling.topK);
  set('min_p', sampling.minP);
  set('frequency_penalty', sampling.frequencyPenalty);
  set('presence_penalty', sampling.presencePenalty);
  set('repetition_penalty', sampling.repetitionPenalty);
  set('seed', seed(sampling.seed));
  set('min_tokens', sampling.minTokens);
  set('reasoning_effort', sampling.reasoningEffort);
  if (sampling.stop.length > 0) set('stop', sampling.stop);
  if (sampling.stopTokenIds.length > 0) set('stop_token_ids', sampling.stopTokenIds);
  if ((sampling.choices ?? 1) > 1) set('n', sampling.choices);
  if (sampling.logprobs && isChat) {
    set('logprobs', true);
    set('top_logprobs', sampling.topLogprobs);
  } else if (sampling.logprobs) {
    // Completions have one number for both: 0 is the token itself without alternatives.
    set('logprobs', sampling.topLogprobs ?? 0);
  }
  if (Object.keys(sampling.logitBias).length > 0) set('logit_bias', sampling.logitBias);
  if (sampling.ignoreEndOfTurn) set('ignore_eos', true);
  if (sampling.returnTokenIds) set('return_token_ids', true);
  return fields;
}

/** JSON numbers hold integers up to 2^53; a larger seed would silently become another one. */
function seed(value: bigint | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw invalidField('seed', 'must be between -2^53 and 2^53');
  return number;
}

function tool({ name, description, parameters, strict }: Tool): Json {
  return {
    type: 'function',
    function: {
      name,
      ...(description === '' ? {} : { description }),
      ...(parameters ? { parameters } : {}),
      ...(strict === undefined ? {} : { strict }),
    },
  };
}

/** Without tools "none" and "auto" say nothing, and some servers refuse them. */
function toolChoice({ toolChoice, tools }: GenerateRequest): Json {
  if (!toolChoice) return {};
  const { choice } = toolChoice;
  if (choice.case === 'function') return { tool_choice: { type: 'function', function: { name: choice.value } } };
  if (choice.value === ToolMode.REQUIRED) return { tool_choice: 'required' };
  if (tools.length === 0) return {};
  return { tool_choice: choice.value === ToolMode.NONE ? 'none' : 'auto' };
}

function responseFormat({ format }: ResponseFormat): Json {
  if (format.case !== 'jsonSchema') return { type: 'json_object' };
  const { name, description, schema, strict } = format.value;
  return {
    type: 'json_schema',
    json_schema: {
      name,
      ...(description === '' ? {} : { description }),
      ...(schema ? { schema } : {}),
      ...(strict === undefined ? {} : { strict }),
    },
  };
}

import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { EngineCapabilities } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import { unsupportedField } from './openai-errors.ts';
import type { Json } from './openai-messages.ts';
import { type OpenAiDialect, openAiRequest } from './openai-request.ts';

/** A request in llama-server's words. */
export interface LlamaServerRequest {
  /** Counted from the server's root. */
  readonly path: '/completion' | '/v1/chat/completions';
  readonly body: Json;
  /** How many completions it makes. */
  readonly choices: number;
}

/** Its own options that a request may use on both routes. */
const OPTIONS = [
  'cache_prompt',
  'dry_allowed_length',
  'dry_base',
  'dry_multiplier',
  'dry_penalty_last_n',
  'dry_sequence_breakers',
  'dynatemp_exponent',
  'dynatemp_range',
  'grammar',
  'lora',
  'min_keep',
  'mirostat',
  'mirostat_eta',
  'mirostat_tau',
  'n_keep',
  'repeat_last_n',
  'samplers',
  't_max_predict_ms',
  'top_n_sigma',
  'typical_p',
  'xtc_probability',
  'xtc_threshold',
];

/** What both routes honour. It ignores what it does not know, so all else is refused here. */
const COMMON_FIELDS = [
  ...OPTIONS,
  'model',
  'n',
  'max_tokens',
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'frequency_penalty',
  'presence_penalty',
  'repetition_penalty',
  'seed',
  'stop',
  'logprobs',
  'top_logprobs',
  'logit_bias',
  'ignore_eos',
  'response_format',
];

const CHAT_FIELDS = new Set([
  ...COMMON_FIELDS,
  'messages',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'chat_template_kwargs',
  'reasoning_effort',
  'reasoning_format',
]);

const TEXT_FIELDS = new Set([...COMMON_FIELDS, 'prompt', 'return_token_ids']);

/** Fields of the native route that mean the same under the same name. */
const SAME_NAMES = [
  ...OPTIONS,
  'prompt',
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'frequency_penalty',
  'presence_penalty',
  'seed',
  'stop',
  'logit_bias',
  'ignore_eos',
];

/** The largest seed; one more stands for a random one. */
const SEED_MAX = 2 ** 32 - 2;

/**
 * GenerateRequest → the body for llama-server, always streaming. Texts and tokens go to the native route, which alone
 * tells token ids, the stop text and the length of the prompt from the first token on; conversations to the OpenAI route,
 * which alone separates reasoning and tool calls. Pure.
 *
 * @throws MeshError UNSUPPORTED_FIELD for what the route cannot honour, INVALID_FIELD.
 */
export function llamaServerRequest(
  request: GenerateRequest,
  modelId: string,
  engine: string,
  capabilities: EngineCapabilities,
): LlamaServerRequest {
  const isChat = request.prompt?.input.case === 'chat';
  const dialect: OpenAiDialect = {
    engine,
    capabilities: isChat ? { ...capabilities, tokenIds: false } : capabilities,
    fields: isChat ? CHAT_FIELDS : TEXT_FIELDS,
    continuousUsage: false,
    // It goes on with a last message of the assistant, unless the model would have to think first: then it refuses.
    chatContinuation: 'prefill',
  };
  const { body, choices } = openAiRequest(request, modelId, dialect);
  checkSeed(body.seed);
  refuseToolChoice(body, engine);
  if (isChat) return { path: '/v1/chat/completions', body: chatBody(body), choices };
  return { path: '/completion', body: nativeBody(body, choices), choices };
}

function chatBody({ repetition_penalty: penalty, ...body }: Json): Json {
  return {
    ...body,
    // Its name for the field also on the OpenAI routes; the common one is ignored.
    repeat_penalty: penalty,
    // Without a number it tells 20, with 0 none at all.
    top_logprobs: body.logprobs === true ? Math.max(1, Number(body.top_logprobs ?? 0)) : undefined,
    // With them the count of tokens, so that the bill of a stream that is cut off is exact.
    timings_per_token: true,
  };
}

function nativeBody(body: Json, choices: number): Json {
  const format = body.response_format as { type: string; json_schema?: { schema?: Json } } | undefined;
  const fields: Record<string, unknown> = {
    stream: true,
    return_tokens: true,
    n_predict: body.max_tokens,
    repeat_penalty: body.repetition_penalty,
    // 0 alternatives would be no log-probabilities at all.
    n_probs: body.logprobs === undefined ? undefined : Math.max(1, Number(body.logprobs)),
    n_cmpl: choices === 1 ? undefined : choices,
    json_schema: format && (format.json_schema?.schema ?? { type: 'object' }),
  };
  for (const name of SAME_NAMES) fields[name] = body[name];
  return fields;
}

function checkSeed(seed: unknown): void {
  if (typeof seed !== 'number' || (seed >= 0 && seed <= SEED_MAX)) return;
  throw invalidField('seed', `must be between 0 and ${SEED_MAX} for this engine`);
}

/** It takes any object for "auto", and forces a call only where there are tools and no other form is asked for. */
function refuseToolChoice({ tool_choice: choice, tools, response_format: format }: Json, engine: string): void {
  if (typeof choice === 'object') throw unsupportedField(engine, 'tool_choice', 'a named function');
  if (choice !== 'required' || (tools !== undefined && format === undefined)) return;
  throw unsupportedField(engine, 'tool_choice', 'a required call without tools or beside a response format');
}

import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { EngineCapabilities } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { Json } from './openai-messages.ts';
import { type OpenAiDialect, openAiRequest } from './openai-request.ts';

/** A request in TGI's words. */
export interface TgiRequest {
  /** Counted from the server's root. */
  readonly path: '/generate_stream' | '/v1/chat/completions';
  readonly body: Json;
}

/** TGI's name for the model it was started with; any other name would be that of a LoRA adapter. */
const OWN_MODEL = 'tgi';

/** What both routes honour. TGI ignores what it does not know, so all else is refused here. */
const COMMON_FIELDS = [
  'model',
  'max_tokens',
  'temperature',
  'top_p',
  'frequency_penalty',
  'seed',
  'stop',
  'logprobs',
  'top_logprobs',
  'response_format',
];

/**
 * The chat route. Not among its fields: `presence_penalty`, which it takes for a repetition penalty, `logit_bias` and `n`,
 * which it reads and drops.
 */
const CHAT_FIELDS = new Set([...COMMON_FIELDS, 'messages', 'tools', 'tool_choice', 'tool_prompt']);

/** The native route, with its own options at the end. */
const TEXT_FIELDS = new Set([
  ...COMMON_FIELDS,
  'prompt',
  'top_k',
  'repetition_penalty',
  'return_token_ids',
  'typical_p',
  'watermark',
  'truncate',
  'adapter_id',
]);

/** Fields of the native route that mean the same under the same name. */
const SAME_NAMES = [
  'top_k',
  'top_p',
  'frequency_penalty',
  'repetition_penalty',
  'seed',
  'stop',
  'typical_p',
  'watermark',
  'truncate',
  'adapter_id',
];

/**
 * GenerateRequest → the body for TGI, always streaming. Text goes to the native route, which alone tells token ids and
 * takes every sampling field; conversations to the OpenAI route, which alone applies the template without a second
 * start token and calls tools. Pure.
 *
 * @throws MeshError UNSUPPORTED_FIELD for what the route cannot honour, INVALID_FIELD.
 */
export function tgiRequest(request: GenerateRequest, engine: string, capabilities: EngineCapabilities): TgiRequest {
  const isChat = request.prompt?.input.case === 'chat';
  const dialect: OpenAiDialect = {
    engine,
    // The chat route tells no ids.
    capabilities: isChat ? { ...capabilities, tokenIds: false } : capabilities,
    fields: isChat ? CHAT_FIELDS : TEXT_FIELDS,
    continuousUsage: false,
  };
  const { body } = openAiRequest(request, OWN_MODEL, dialect);
  const format = 'response_format' in body ? grammar(body.response_format) : undefined;
  const fields = { ...body, seed: seed(body.seed), top_p: body.top_p === 1 ? undefined : body.top_p };
  if (!isChat) return { path: '/generate_stream', body: nativeBody(fields, format) };
  return {
    path: '/v1/chat/completions',
    body: {
      ...fields,
      ...(format ? { response_format: format } : {}),
      ...(request.tools.length > 0 ? { tools: toolsWithParameters(body.tools as readonly Json[]) } : {}),
    },
  };
}

/** It cannot read a tool without parameters. */
function toolsWithParameters(tools: readonly Json[]): readonly Json[] {
  return tools.map((tool) => ({
    ...tool,
    function: { parameters: { type: 'object', properties: {} }, ...(tool.function as Json) },
  }));
}

function nativeBody(fields: Json, format: Json | undefined): Json {
  const greedy = fields.temperature === 0;
  const parameters: Record<string, unknown> = {
    details: true,
    // As its OpenAI routes: greedy only when the temperature is 0, which itself is refused.
    do_sample: !greedy,
    temperature: greedy ? undefined : fields.temperature,
    max_new_tokens: fields.max_tokens,
    top_n_tokens: fields.logprobs === 0 ? undefined : fields.logprobs,
    grammar: format,
  };
  for (const name of SAME_NAMES) parameters[name] = fields[name];
  if (parameters.top_k === 0) parameters.top_k = undefined; // No limit; TGI wants it left out.
  return { inputs: fields.prompt, parameters };
}

/** "any JSON object" and a schema, in the words of TGI's grammars. */
function grammar(format: unknown): Json {
  const { type, json_schema: named } = format as { type: string; json_schema?: { schema?: Json } };
  if (type !== 'json_schema') return { type: 'json', value: { type: 'object' } };
  return { type: 'json', value: named?.schema ?? { type: 'object' } };
}

function seed(value: unknown): unknown {
  if (typeof value === 'number' && value < 0) throw invalidField('seed', 'must not be negative for this engine');
  return value;
}

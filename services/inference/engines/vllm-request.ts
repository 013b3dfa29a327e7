import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { EngineCapabilities } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import { unsupportedField } from './openai-errors.ts';
import { type OpenAiRequest, openAiRequest } from './openai-request.ts';

/** What both routes honour. vLLM takes any other field with a warning in its log and ignores it, so it is refused here. */
const COMMON_FIELDS = [
  'model',
  'max_tokens',
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'frequency_penalty',
  'presence_penalty',
  'repetition_penalty',
  'seed',
  'n',
  'stop',
  'stop_token_ids',
  'logprobs',
  'logit_bias',
  'ignore_eos',
  'min_tokens',
  'response_format',
  'return_token_ids',
  // vLLM's own, as engine options.
  'add_special_tokens',
  'allowed_token_ids',
  'bad_words',
  'cache_salt',
  'include_stop_str_in_output',
  'logprob_token_ids',
  'priority',
  'repetition_detection',
  'session_id',
  'skip_special_tokens',
  'spaces_between_special_tokens',
  'structured_outputs',
  'thinking_token_budget',
  'truncate_prompt_tokens',
  'vllm_xargs',
];

const CHAT_FIELDS = new Set([
  ...COMMON_FIELDS,
  'messages',
  'top_logprobs',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'reasoning_effort',
  'chat_template_kwargs',
  'add_generation_prompt',
  'continue_final_message',
  'documents',
  'include_reasoning',
  'mm_processor_kwargs',
]);

const TEXT_FIELDS = new Set([...COMMON_FIELDS, 'prompt', 'echo']);

/** Fields of older versions, which newer ones ignore, and what they are called inside `structured_outputs`. */
const GUIDED_FIELDS: Readonly<Record<string, string>> = {
  guided_json: 'json',
  guided_regex: 'regex',
  guided_choice: 'choice',
  guided_grammar: 'grammar',
  guided_whitespace_pattern: 'whitespace_pattern',
};

/** An entry's model as requests name it. */
export interface VllmModel {
  /** The engine's name, for errors. */
  readonly engine: string;
  readonly modelId: string;
  readonly capabilities: EngineCapabilities;
}

/**
 * GenerateRequest → the body for vLLM, always streaming. Pure.
 *
 * @throws MeshError UNSUPPORTED_FIELD for what vLLM or this model cannot honour, INVALID_FIELD.
 */
export function vllmRequest(request: GenerateRequest, { engine, modelId, capabilities }: VllmModel): OpenAiRequest {
  const isChat = request.prompt?.input.case === 'chat';
  if (!isChat && !capabilities.tokenPrompts) throw unsupportedField(engine, 'prompt');
  return openAiRequest(withStructuredOutputs(request), modelId, {
    engine,
    capabilities,
    fields: isChat ? CHAT_FIELDS : TEXT_FIELDS,
    // As many as the context leaves; left out it would be 16.
    unboundedTokens: null,
    // One chunk may hold several tokens, and a stream that is cut must still be billed exactly.
    continuousUsage: true,
  });
}

/** @throws MeshError INVALID_FIELD when both names are used. */
function withStructuredOutputs(request: GenerateRequest): GenerateRequest {
  const options = request.engineOptions ?? {};
  const guided = Object.keys(options).filter((field) => Object.hasOwn(GUIDED_FIELDS, field) && options[field] !== null);
  const [first] = guided;
  if (first === undefined) return request;
  if (options.structured_outputs) throw invalidField(first, 'must not be given together with structured_outputs');
  const constraints = Object.fromEntries(
    guided.map((field) => [GUIDED_FIELDS[field] ?? field, options[field] ?? null]),
  );
  const others = Object.fromEntries(Object.entries(options).filter(([field]) => !guided.includes(field)));
  return { ...request, engineOptions: { ...others, structured_outputs: constraints } };
}

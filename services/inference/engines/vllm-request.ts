import { type GenerateRequest, ResumePolicy } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
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

/** How many stop texts vLLM takes. */
const STOP_LIMIT = 4;

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
  /** How long a prompt and its answer may be, in tokens. Unset: not yet known. */
  readonly contextTokens?: number | undefined;
}

/** A request for vLLM. */
export interface VllmRequest extends OpenAiRequest {
  /** The stop texts beyond those that vLLM takes: the answer must be cut at them here. */
  readonly cutAt: readonly string[];
  /** How many characters its text is behind its count, where both must agree. 0: they need not, or do. */
  readonly heldCharacters: number;
}

/**
 * GenerateRequest → the body for vLLM, always streaming. Pure.
 *
 * @throws MeshError UNSUPPORTED_FIELD for what vLLM or this model cannot honour, INVALID_FIELD.
 */
export function vllmRequest(request: GenerateRequest, model: VllmModel): VllmRequest {
  const { engine, modelId, capabilities, contextTokens } = model;
  const isChat = request.prompt?.input.case === 'chat';
  if (!isChat && !capabilities.tokenPrompts) throw unsupportedField(engine, 'prompt');
  const cutAt = request.sampling?.stop.slice(STOP_LIMIT) ?? [];
  if (cutAt.length > 0) refuseUncuttable(request, engine);
  const upstream = openAiRequest(withinLimits(withStructuredOutputs(request), contextTokens), modelId, {
    engine,
    capabilities,
    fields: isChat ? CHAT_FIELDS : TEXT_FIELDS,
    // vLLM clips it to what the prompt leaves; left out or null it would be 16.
    unboundedTokens: contextTokens,
    // One chunk may hold several tokens, and a stream that is cut must still be billed exactly.
    continuousUsage: true,
    chatContinuation: 'flagged',
  });
  return { ...upstream, cutAt, heldCharacters: heldCharactersOf(request, isChat && !capabilities.continuesChat) };
}

/**
 * vLLM keeps back one character less than the longest stop text has (`stop_buffer_length` of its detokenizer). Not worth the wait
 * unless another engine may go on; parsers of tools and reasoning change the text.
 */
function heldCharactersOf({ resume, sampling, tools, engineOptions }: GenerateRequest, isParsed: boolean): number {
  const isApart = isParsed || tools.length > 0 || (sampling?.choices ?? 1) > 1 || sampling?.returnTokenIds;
  if (resume !== ResumePolicy.ALLOWED || isApart || engineOptions?.include_stop_str_in_output === true) return 0;
  const stops = sampling?.stop.slice(0, STOP_LIMIT) ?? [];
  return Math.max(0, ...stops.map((stop) => [...stop].length - 1));
}

/** What vLLM clips by itself goes up to the context; more it refuses, as it does more stop texts. */
function withinLimits(request: GenerateRequest, contextTokens = Number.POSITIVE_INFINITY): GenerateRequest {
  const { sampling } = request;
  if (!sampling) return request;
  const { maxTokens, stop } = sampling;
  const clipped = maxTokens === undefined ? {} : { maxTokens: Math.min(maxTokens, contextTokens) };
  return { ...request, sampling: { ...sampling, ...clipped, stop: stop.slice(0, STOP_LIMIT) } };
}

/** @throws MeshError UNSUPPORTED_FIELD for what only vLLM's own stop texts heed. */
function refuseUncuttable({ sampling, engineOptions }: GenerateRequest, engine: string): void {
  const heeded = [
    [(sampling?.choices ?? 1) > 1, 'n'],
    [(sampling?.minTokens ?? 0) > 0, 'min_tokens'],
    [engineOptions?.include_stop_str_in_output === true, 'include_stop_str_in_output'],
  ] as const;
  const [, field] = heeded.find(([isHeeded]) => isHeeded) ?? [];
  if (field !== undefined) throw unsupportedField(engine, 'stop', `more than ${STOP_LIMIT} stop texts with ${field}`);
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

import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { ResumePolicy, type SamplingParameters } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { ignoredFields, type SamplingFields } from './sampling-fields.ts';

/** Defaults of both endpoints; only the number of tokens differs. */
const DEFAULT_TEMPERATURE = 0.7;
const DEFAULT_TOP_P = 1;
const UINT32_MAX = 4_294_967_295;

/** What chat and text completions ask about log-probabilities, in their own words. */
export interface LogprobFields {
  readonly logprobs: boolean;
  readonly topLogprobs?: number | undefined;
}

/** The shared fields of a body → SamplingParameters. */
export function samplingOf(
  body: SamplingFields,
  maxTokens: number,
  { logprobs, topLogprobs }: LogprobFields,
  reasoningEffort?: string | null,
): SamplingParameters {
  return {
    $typeName: 'mesh.generation.v1.SamplingParameters',
    // The router clips to the context; a larger number only has to fit the field.
    maxTokens: Math.min(maxTokens, UINT32_MAX),
    temperature: body.temperature ?? DEFAULT_TEMPERATURE,
    topP: body.top_p ?? DEFAULT_TOP_P,
    topK: body.top_k == null ? undefined : Math.max(0, body.top_k),
    minP: body.min_p ?? undefined,
    frequencyPenalty: body.frequency_penalty ?? undefined,
    presencePenalty: body.presence_penalty ?? undefined,
    repetitionPenalty: body.repetition_penalty ?? undefined,
    seed: body.seed == null ? undefined : BigInt(body.seed),
    stop: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []),
    stopTokenIds: body.stop_token_ids ?? [],
    choices: body.n ?? undefined,
    logprobs,
    topLogprobs,
    logitBias: body.logit_bias ?? {},
    ignoreEndOfTurn: body.ignore_eos === true,
    minTokens: body.min_tokens ?? undefined,
    returnTokenIds: body.return_token_ids === true,
    reasoningEffort: reasoningEffort ?? undefined,
  };
}

const RESUME_POLICIES = { allowed: ResumePolicy.ALLOWED, never: ResumePolicy.NEVER } as const;

/** Whether the stream may move to another engine. */
export function resumeOf({ resume }: SamplingFields): ResumePolicy {
  return resume == null ? ResumePolicy.UNSPECIFIED : RESUME_POLICIES[resume];
}

/**
 * The fields that no schema knows, for the engine. A null asks for nothing, so it is left out.
 *
 * @param known the shape of the endpoint's schema.
 */
export function engineOptionsOf(body: object, known: Readonly<Record<string, unknown>>): JsonObject | undefined {
  let options: JsonObject | undefined;
  for (const [name, value] of Object.entries(body)) {
    if (value === null || Object.hasOwn(known, name) || Object.hasOwn(ignoredFields, name)) continue;
    options ??= {};
    // It came out of JSON.parse.
    options[name] = value as JsonValue;
  }
  return options;
}

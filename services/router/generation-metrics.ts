import { Counter, Histogram } from 'prom-client';
import { FinishReasonSchema } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { BoundedLabel } from '../shared/observability/bounded-label.ts';
import type { Metrics } from '../shared/observability/metrics.ts';
import type { GenerationObserver, GenerationRecord } from './generate/generation-record.ts';

/** As OpenTelemetry's conventions have them, and twice further: generations take minutes. In seconds. */
const DURATION_BUCKETS = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68,
];
const FIRST_TOKEN_BUCKETS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 120,
];
const PER_TOKEN_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];
const TOKEN_BUCKETS = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576];
const QUEUE_BUCKETS = [0.001, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300];
const OVERHEAD_BUCKETS = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1];

/** The labels of OpenTelemetry's conventions, as Prometheus spells them. */
const CALL = ['gen_ai_operation_name', 'gen_ai_response_model'] as const;

/**
 * Counts calls of models, once each, when they are over; nothing is counted per token. Models are those that engines were booked
 * of: what callers send as a model is no label.
 */
export class GenerationMetrics implements GenerationObserver {
  readonly #users: BoundedLabel;
  readonly #duration;
  readonly #firstToken;
  readonly #perToken;
  readonly #tokenUsage;
  readonly #calls;
  readonly #tokensOfUsers;
  readonly #cachedTokens;
  readonly #queue;
  readonly #overhead;
  readonly #attempts;
  readonly #takeovers;

  constructor({ registry, users }: Pick<Metrics, 'registry' | 'users'>) {
    this.#users = users;
    const registers = [registry];
    this.#duration = new Histogram({
      name: 'gen_ai_server_request_duration_seconds',
      help: 'From the admission of a call of a model to its end; error_type is empty where it ended as it should.',
      labelNames: [...CALL, 'error_type'],
      buckets: DURATION_BUCKETS,
      registers,
    });
    this.#firstToken = new Histogram({
      name: 'gen_ai_server_time_to_first_token_seconds',
      help: 'From the admission of a generation to its first token, the wait for an engine included.',
      labelNames: CALL,
      buckets: FIRST_TOKEN_BUCKETS,
      registers,
    });
    this.#perToken = new Histogram({
      name: 'gen_ai_server_time_per_output_token_seconds',
      help: 'The mean time between the tokens of a generation after its first; one observation per generation.',
      labelNames: CALL,
      buckets: PER_TOKEN_BUCKETS,
      registers,
    });
    this.#tokenUsage = new Histogram({
      name: 'gen_ai_client_token_usage',
      help: 'Tokens of a call that are charged: input is the prompt, output the completion. Its sum is all tokens so far.',
      labelNames: [...CALL, 'gen_ai_token_type'],
      buckets: TOKEN_BUCKETS,
      registers,
    });
    this.#calls = new Counter({
      name: 'mesh_generations_total',
      help: 'Calls of models by the engine that had them last and by outcome: why the answer ended, else the reason of the error.',
      labelNames: ['operation', 'model', 'engine', 'outcome'],
      registers,
    });
    this.#tokensOfUsers = new Counter({
      name: 'api_tokens_total',
      help: 'Tokens that are charged, by type (prompt, completion) and user. The first users have their own series, later ones share other; a key without a user counts as none.',
      labelNames: ['type', 'user'],
      registers,
    });
    this.#cachedTokens = new Counter({
      name: 'mesh_cached_tokens_total',
      help: 'Tokens of prompts that engines did not compute again.',
      labelNames: ['model'],
      registers,
    });
    this.#queue = new Histogram({
      name: 'mesh_queue_wait_seconds',
      help: 'How long calls waited for places on engines and for models to load; 0 where there was one at once.',
      labelNames: ['model'],
      buckets: QUEUE_BUCKETS,
      registers,
    });
    this.#overhead = new Histogram({
      name: 'mesh_router_overhead_seconds',
      help: "The router's share of the time to the first token: less the wait for an engine and the engine's own time.",
      buckets: OVERHEAD_BUCKETS,
      registers,
    });
    this.#attempts = new Counter({
      name: 'mesh_attempts_total',
      help: 'How often calls were sent to engines; more than calls where some were tried again.',
      labelNames: ['model'],
      registers,
    });
    this.#takeovers = new Counter({
      name: 'mesh_takeovers_total',
      help: 'How often another engine went on with an answer that one had begun.',
      labelNames: ['model'],
      registers,
    });
  }

  ended(record: GenerationRecord): void {
    const { operation, modelId: model = '', error, enteredAtMs, endedAtMs = enteredAtMs } = record;
    const call = { gen_ai_operation_name: operation, gen_ai_response_model: model };
    this.#duration.observe({ ...call, error_type: error?.reason ?? '' }, (endedAtMs - enteredAtMs) / 1_000);
    this.#calls.inc({ operation, model, engine: record.engine ?? '', outcome: outcomeOf(record) });
    this.#countTimes(record, call, endedAtMs);
    this.#countTokens(record, call);
    if (record.bookedAtMs === undefined) return;
    this.#queue.observe({ model }, record.queuedMs / 1_000);
    this.#attempts.inc({ model }, record.attempts);
    if (record.takeovers > 0) this.#takeovers.inc({ model }, record.takeovers);
  }

  #countTimes(record: GenerationRecord, call: Record<(typeof CALL)[number], string>, endedAtMs: number): void {
    const { enteredAtMs, firstTokenAtMs, engineFirstTokenMs, queuedMs, completionTokens } = record;
    if (firstTokenAtMs === undefined) return;
    const toFirstMs = firstTokenAtMs - enteredAtMs;
    this.#firstToken.observe(call, toFirstMs / 1_000);
    if (completionTokens > 1) {
      this.#perToken.observe(call, (endedAtMs - firstTokenAtMs) / (completionTokens - 1) / 1_000);
    }
    if (engineFirstTokenMs !== undefined) {
      this.#overhead.observe(Math.max(0, toFirstMs - queuedMs - engineFirstTokenMs) / 1_000);
    }
  }

  #countTokens(record: GenerationRecord, call: Record<(typeof CALL)[number], string>): void {
    const { promptTokens, completionTokens, cachedTokens, principal } = record;
    if (promptTokens === 0 && completionTokens === 0) return;
    this.#tokenUsage.observe({ ...call, gen_ai_token_type: 'input' }, promptTokens);
    this.#tokenUsage.observe({ ...call, gen_ai_token_type: 'output' }, completionTokens);
    const user = this.#users.of(principal?.userId || 'none');
    this.#tokensOfUsers.inc({ type: 'prompt', user }, promptTokens);
    this.#tokensOfUsers.inc({ type: 'completion', user }, completionTokens);
    if (cachedTokens > 0) this.#cachedTokens.inc({ model: call.gen_ai_response_model }, cachedTokens);
  }
}

/** Why a call is over, in one word: "stop", "length", …; "ok" for one that makes no choices; else the reason of its error. */
export function outcomeOf({ error, finishReason }: Pick<GenerationRecord, 'error' | 'finishReason'>): string {
  if (error) return error.reason;
  return finishReason === undefined ? 'ok' : (FinishReasonSchema.value[finishReason]?.localName ?? 'ok').toLowerCase();
}

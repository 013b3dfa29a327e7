import type { EngineCounters } from './engine-counters.ts';

/** What the figures are taken from. */
export type MetricsSource = {
  readonly contextTokens: number;
  readonly sequences: number;
  readonly scheduler: {
    readonly counters: Readonly<EngineCounters>;
    counts(): { readonly running: number; readonly waiting: number };
    tokensInMemory(): number;
  };
};

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

type Metric = readonly [name: string, type: 'counter' | 'gauge', help: string, value: number];

/** The figures in Prometheus' text format, under the names that llama.cpp's own server uses. */
export function metricsText({ contextTokens, sequences, scheduler }: MetricsSource): string {
  const { counters } = scheduler;
  const { running, waiting } = scheduler.counts();
  const memory = scheduler.tokensInMemory();
  const perSecond = (count: number, ms: number): number => (ms === 0 ? 0 : (count * 1000) / ms);
  const metrics: readonly Metric[] = [
    ['prompt_tokens_total', 'counter', 'Prompt tokens computed; reused ones do not count.', counters.promptTokens],
    ['prompt_seconds_total', 'counter', 'Time to compute prompts, summed over requests.', counters.promptMs / 1000],
    ['tokens_predicted_total', 'counter', 'Tokens generated.', counters.predictedTokens],
    [
      'tokens_predicted_seconds_total',
      'counter',
      'Time to generate, summed over requests.',
      counters.predictedMs / 1000,
    ],
    ['n_decode_total', 'counter', 'Decode steps.', counters.decodes],
    ['n_tokens_max', 'gauge', 'Most tokens that a finished sequence held.', counters.longestSequence],
    [
      'n_busy_slots_per_decode',
      'gauge',
      'Sequences per decode step, on average.',
      counters.busySequences / Math.max(1, counters.decodes),
    ],
    [
      'prompt_tokens_seconds',
      'gauge',
      'Prompt tokens per second of a request, on average.',
      perSecond(counters.promptTokens, counters.promptMs),
    ],
    [
      'predicted_tokens_seconds',
      'gauge',
      'Tokens generated per second of a request, on average.',
      perSecond(counters.predictedTokens, counters.predictedMs),
    ],
    ['kv_cache_usage_ratio', 'gauge', 'Used share of the KV cache, 1 is all.', memory / (contextTokens * sequences)],
    ['kv_cache_tokens', 'gauge', 'Tokens in the KV cache, those kept for a next prompt included.', memory],
    ['requests_processing', 'gauge', 'Requests that have a sequence.', running],
    ['requests_deferred', 'gauge', 'Requests that wait for a sequence.', waiting],
  ];
  return metrics
    .map(
      ([name, type, help, value]) =>
        `# HELP llamacpp:${name} ${help}\n# TYPE llamacpp:${name} ${type}\nllamacpp:${name} ${value}\n`,
    )
    .join('');
}

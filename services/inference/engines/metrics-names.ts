import { readPrometheus } from './prometheus-text.ts';

/** What engines tell of their load, under one set of names. Unset: the engine does not tell. */
export interface EngineMetrics {
  /** Requests that it works on. */
  readonly running?: number;
  /** Requests in its queue. */
  readonly waiting?: number;
  /** Used share of its KV cache, 0 to 1. */
  readonly kvCacheUsed?: number;
  /** Grows with every step of the engine. */
  readonly step?: number;
  /** Tokens of all prompts since it started. */
  readonly promptTokens?: number;
  /** Tokens that it made since it started. */
  readonly generatedTokens?: number;
}

/** For each of our names the engine's own, the newest version's first; the first one that is there counts. */
export type MetricNames = { readonly [Name in keyof EngineMetrics]: readonly string[] };

/** vLLM; 0.9 and older have the GPU in the name of the cache. */
export const VLLM_METRICS: MetricNames = {
  running: ['vllm:num_requests_running'],
  waiting: ['vllm:num_requests_waiting'],
  kvCacheUsed: ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc'],
  // The count of a histogram over the engine's iterations.
  step: ['vllm:iteration_tokens_total_count'],
  promptTokens: ['vllm:prompt_tokens_total'],
  generatedTokens: ['vllm:generation_tokens_total'],
};

/** Text Generation Inference. */
export const TGI_METRICS: MetricNames = {
  running: ['tgi_batch_current_size'],
  waiting: ['tgi_queue_size'],
  step: ['tgi_batch_inference_count'],
  promptTokens: ['tgi_request_input_length_sum'],
  generatedTokens: ['tgi_request_generated_tokens_sum'],
};

/** llama.cpp's server with `--metrics`; newer versions no longer tell the cache. */
export const LLAMA_SERVER_METRICS: MetricNames = {
  running: ['llamacpp:requests_processing'],
  waiting: ['llamacpp:requests_deferred'],
  kvCacheUsed: ['llamacpp:kv_cache_usage_ratio'],
  step: ['llamacpp:n_decode_total'],
  promptTokens: ['llamacpp:prompt_tokens_total'],
  generatedTokens: ['llamacpp:tokens_predicted_total'],
};

/** Reads an engine's /metrics. Several engines behind one server are added up; the fullest cache counts. */
export function readMetrics(text: string, names: MetricNames): EngineMetrics {
  const samples = readPrometheus(text, new Set(Object.values(names).flat()));
  const metrics: { -readonly [Name in keyof EngineMetrics]: EngineMetrics[Name] } = {};
  for (const [name, aliases] of Object.entries(names) as [keyof EngineMetrics, readonly string[]][]) {
    const values = aliases.map((alias) => samples.get(alias)).find((found) => found !== undefined);
    if (!values) continue;
    metrics[name] = name === 'kvCacheUsed' ? Math.max(...values) : values.reduce((sum, value) => sum + value, 0);
  }
  return metrics;
}

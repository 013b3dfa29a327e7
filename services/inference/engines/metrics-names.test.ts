import { expect, test } from 'vitest';
import { LLAMA_SERVER_METRICS, readMetrics, TGI_METRICS, VLLM_METRICS } from './metrics-names.ts';

test('vLLM of today, with two engines behind one server: added up, the fullest cache counts', () => {
  const text = `# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a}b \\"c\\" 9"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 1.0
vllm:num_requests_waiting{engine="0"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 7.0
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.5
vllm:prompt_tokens_total{engine="0"} 1.2e+03
vllm:prompt_tokens_created{engine="0"} 1.7e+09
vllm:generation_tokens_total{engine="0"} 400.0 1700000000000
vllm:iteration_tokens_total_bucket{engine="0",le="1.0"} 5.0
vllm:iteration_tokens_total_sum{engine="0"} 900.0
vllm:iteration_tokens_total_count{engine="0"} 42.0
`;
  expect(readMetrics(text, VLLM_METRICS)).toEqual({
    running: 4,
    waiting: 2,
    kvCacheUsed: 0.5,
    step: 42,
    promptTokens: 1_200,
    generatedTokens: 400,
  });
});

test('vLLM 0.9 and older under their own name of the cache; of both names the newer one counts', () => {
  expect(readMetrics('vllm:gpu_cache_usage_perc{model_name="m"} 0.75', VLLM_METRICS)).toEqual({ kvCacheUsed: 0.75 });
  const both = 'vllm:gpu_cache_usage_perc 0.1\nvllm:kv_cache_usage_perc 0.9';
  expect(readMetrics(both, VLLM_METRICS)).toEqual({ kvCacheUsed: 0.9 });
});

test('TGI and llama-server', () => {
  const tgi = `tgi_queue_size 4
tgi_batch_current_size 8
tgi_batch_inference_count{method="prefill"} 3
tgi_batch_inference_count{method="decode"} 30
tgi_request_input_length_sum 100
tgi_request_generated_tokens_sum 50`;
  expect(readMetrics(tgi, TGI_METRICS)).toEqual({
    running: 8,
    waiting: 4,
    step: 33,
    promptTokens: 100,
    generatedTokens: 50,
  });
  const llama = `llamacpp:requests_processing 2
llamacpp:requests_deferred 1
llamacpp:n_decode_total 77
llamacpp:prompt_tokens_total 10
llamacpp:tokens_predicted_total 20`;
  expect(readMetrics(llama, LLAMA_SERVER_METRICS)).toEqual({
    running: 2,
    waiting: 1,
    step: 77,
    promptTokens: 10,
    generatedTokens: 20,
  });
});

test('what is no number or no metric is not told', () => {
  const text =
    'vllm:kv_cache_usage_perc NaN\nvllm:num_requests_running +Inf\n<html>\n\n{"error":"x"}\nvllm:num_requests_waiting';
  expect(readMetrics(text, VLLM_METRICS)).toEqual({});
  expect(readMetrics('', VLLM_METRICS)).toEqual({});
});

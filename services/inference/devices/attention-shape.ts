/** What a model's cache and, where its files are missing, its weights are reckoned from. */
export interface AttentionShape {
  /** Layers that keep keys and values of every token. */
  readonly cachedLayers: number;
  readonly heads: number;
  readonly cacheHeads: number;
  /** Numbers that one token adds in one layer, for each cache head. */
  readonly numbersPerCacheHead: number;
  readonly trainedContextTokens: number;
  /** Weights that follow from the shape alone. 0: the shape does not tell. */
  readonly estimatedWeights: number;
  /** Bytes of one weight as config.json declares it. */
  readonly weightBytes: number;
}

const DEFAULT_CONTEXT_TOKENS = 4_096;

/** Kinds of layers with a state of fixed size instead of a cache. */
const STATE_LAYERS = /mamba|linear|recurrent|conv/;

/** Reads the shape out of a config.json of the Hugging Face hub; a model with several parts keeps its language model's. */
export function attentionShape(config: Readonly<Record<string, unknown>>): AttentionShape {
  const text = typeof config.text_config === 'object' && config.text_config !== null ? config.text_config : {};
  const all: Readonly<Record<string, unknown>> = { ...config, ...text };
  const number = (...names: string[]): number | undefined => {
    const value = names.map((name) => all[name]).find((one) => typeof one === 'number' && one > 0);
    return value as number | undefined;
  };
  const layers = number('num_hidden_layers', 'n_layer', 'n_layers', 'num_layers') ?? 0;
  const width = number('hidden_size', 'n_embd', 'd_model') ?? 0;
  const heads = number('num_attention_heads', 'n_head', 'n_heads') ?? 1;
  const cacheHeads = number('num_key_value_heads', 'n_head_kv', 'multi_query_group_num') ?? heads;
  const headSize = number('head_dim') ?? width / heads;
  // Latent attention caches one vector per token and layer, which every device holds.
  const latent = number('kv_lora_rank');
  const kinds = Array.isArray(all.layer_types) ? all.layer_types.map(String) : [];
  const inner = number('intermediate_size', 'n_inner', 'ffn_dim') ?? 4 * width;
  const attention = width * headSize * (2 * heads + 2 * cacheHeads);
  const experts = number('num_local_experts', 'num_experts', 'n_routed_experts') ?? 1;
  const expertWidth = number('moe_intermediate_size') ?? inner;
  const vocabulary = number('vocab_size') ?? 0;
  const embeddings = vocabulary * width * (all.tie_word_embeddings === true ? 1 : 2);
  return {
    cachedLayers: layers - kinds.filter((kind) => STATE_LAYERS.test(kind)).length,
    heads,
    cacheHeads: latent === undefined ? cacheHeads : 1,
    numbersPerCacheHead: latent === undefined ? 2 * headSize : latent + (number('qk_rope_head_dim') ?? 0),
    trainedContextTokens: number('max_position_embeddings', 'n_positions', 'max_seq_len') ?? DEFAULT_CONTEXT_TOKENS,
    estimatedWeights: layers * (attention + 3 * width * (experts > 1 ? experts * expertWidth : inner)) + embeddings,
    weightBytes: String(all.torch_dtype ?? all.dtype) === 'float32' ? 4 : 2,
  };
}

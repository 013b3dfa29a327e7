/** How a model is to be run, as far as its memory depends on it. */
export interface ModelUse {
  /** A GGUF file, a directory with config.json and safetensors, or a Hugging Face id. */
  readonly model: string;
  /** Tokens of the longest sequence. Unset: what the model was trained for. */
  readonly contextTokens?: number | undefined;
  /** Sequences of that length whose cache must be held at a time. Default 1. */
  readonly concurrency?: number | undefined;
  /** Devices that the layers are split over. Default 1. */
  readonly tensorParallel?: number | undefined;
  /** "auto", "float16", "bfloat16" or "float32": what weights are converted to. Unset: as they are stored. */
  readonly dtype?: string | undefined;
  /** Bytes of one number in the KV cache. Default 2. */
  readonly cacheNumberBytes?: number | undefined;
}

/** What a model is estimated to need, in bytes over all devices together. */
export interface MemoryEstimate {
  readonly weightsBytes: number;
  readonly cacheBytes: number;
  /** Contexts, workspaces and the libraries of all devices. */
  readonly overheadBytes: number;
  /** The share of one device. */
  readonly perDeviceBytes: number;
  readonly contextTokens: number;
  readonly concurrency: number;
}

/**
 * Estimates from the model's own files, without the network.
 *
 * @returns undefined when the files are not on this machine: the size is unknown.
 * @throws ModelFilesError when they are there and cannot be read.
 */
export async function estimateMemory(
  _use: ModelUse,
  _environmentVariable: (name: string) => string | undefined,
): Promise<MemoryEstimate | undefined> {
  throw new Error('not written yet');
}

/** What decides how much memory a loaded model takes. */
export type ModelShape = {
  readonly modelBytes: number;
  readonly layers: number;
  readonly trainedContextTokens: number;
  /** Keys and values of one token in all layers. */
  readonly cacheBytesPerToken: number;
};

export type MemoryPlan = { readonly contextTokens: number; readonly gpuLayers: number };

const DEFAULT_CONTEXT_TOKENS = 8192;
const MIN_CONTEXT_TOKENS = 2048;
/** Cache memory may take this part of what the model leaves; compute buffers and everybody else need the rest. */
const CACHE_SHARE = 0.5;
/** For the compute buffers and the driver's own. */
const GPU_RESERVE_BYTES = 768 * 1024 * 1024;

/** Tokens per sequence: what was asked for, else up to 8192, halved until the cache of all sequences fits. */
function fitContext(shape: ModelShape, asked: number | undefined, sequences: number, cacheBytes: number): number {
  if (asked !== undefined) return asked;
  let tokens = Math.min(DEFAULT_CONTEXT_TOKENS, shape.trainedContextTokens);
  while (tokens / 2 >= MIN_CONTEXT_TOKENS && tokens * sequences * shape.cacheBytesPerToken > cacheBytes) tokens /= 2;
  return Math.floor(tokens);
}

/** Context and layers for a GPU with so many bytes free (0: no GPU) and a machine with so many of main memory. */
export function planMemory(
  shape: ModelShape,
  wish: { readonly contextTokens: number | undefined; readonly sequences: number },
  memory: { readonly gpuFreeBytes: number; readonly mainBytes: number },
): MemoryPlan {
  const usableGpuBytes = Math.max(0, memory.gpuFreeBytes - GPU_RESERVE_BYTES);
  const wholeModelOnGpu = shape.modelBytes < usableGpuBytes;
  const room = (wholeModelOnGpu ? usableGpuBytes : memory.mainBytes) - shape.modelBytes;
  const contextTokens = fitContext(shape, wish.contextTokens, wish.sequences, Math.max(0, room) * CACHE_SHARE);
  const cacheBytes = contextTokens * wish.sequences * shape.cacheBytesPerToken;
  // The output layer counts as one more.
  const layers = shape.layers + 1;
  const bytesPerLayer = (shape.modelBytes + cacheBytes) / layers;
  return { contextTokens, gpuLayers: Math.min(layers, Math.floor(usableGpuBytes / bytesPerLayer)) };
}

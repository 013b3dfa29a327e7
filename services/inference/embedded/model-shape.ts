import { statSync } from 'node:fs';
import type { GgufMetadata } from './gguf-metadata.ts';
import type { LlamaBinding } from './llama-binding.ts';
import type { ModelShape } from './memory-fit.ts';

const HALF_PRECISION_BYTES = 2;

/** Reads from the metadata what `planMemory` needs; what a file leaves out gets llama.cpp's default. */
export function modelShape(metadata: GgufMetadata, architecture: string, path: string): ModelShape {
  const number = (key: string): number | undefined => {
    const value = metadata.values.get(`${architecture}.${key}`);
    return typeof value === 'number' ? value : undefined;
  };
  const layers = number('block_count') ?? 1;
  const width = number('embedding_length') ?? 0;
  const heads = number('attention.head_count') ?? 1;
  const cacheHeads = number('attention.head_count_kv') ?? heads;
  const keyLength = number('attention.key_length') ?? width / heads;
  const valueLength = number('attention.value_length') ?? width / heads;
  return {
    modelBytes: statSync(path).size,
    layers,
    trainedContextTokens: number('context_length') ?? 4096,
    cacheBytesPerToken: layers * cacheHeads * (keyLength + valueLength) * HALF_PRECISION_BYTES,
  };
}

/** Models with a recurrent state or a sliding window cannot go back to an earlier position. */
export function canReusePrefix(binding: LlamaBinding, metadata: GgufMetadata, architecture: string): boolean {
  const window = metadata.values.get(`${architecture}.attention.sliding_window`);
  const hasWindow = typeof window === 'number' && window > 0;
  return !hasWindow && !binding.getIsArchRecurrent(architecture) && !binding.getIsArchHybrid(architecture);
}

import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { readGgufMetadata } from '../embedded/gguf-metadata.ts';
import { modelShape } from '../embedded/model-shape.ts';
import { type AttentionShape, attentionShape } from './attention-shape.ts';
import { findModelFiles, ModelFilesError } from './model-files.ts';
import { safetensorsBytes } from './safetensors-weights.ts';

export { ModelFilesError };

/** How a model is to be run, as far as its memory depends on it. */
export interface ModelUse {
  /** A GGUF file, a directory with config.json and safetensors, or a Hugging Face id. */
  readonly model: string;
  /** Tokens of the longest sequence. Unset: what the model was trained for. */
  readonly contextTokens?: number | undefined;
  /** Sequences of that length whose cache must be held at a time. Default 1. */
  readonly concurrency?: number | undefined;
  /** Devices that every layer is split over. Default 1. */
  readonly tensorParallel?: number | undefined;
  /** "auto", "float16", "half", "bfloat16", "float32" or "float": what weights are converted to. Unset or else: as stored. */
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
  /** Attention heads; a split must divide them. */
  readonly heads: number;
}

/** llama.cpp's compute buffers and the driver's context, as its embedded engine reserves them. */
const GGUF_OVERHEAD_BYTES = 768 * 1024 ** 2;

/** CUDA context and libraries, about 0.5 GiB, and as much again for workspaces and captured graphs. */
const FRAMEWORK_OVERHEAD_BYTES = 1024 ** 3;

/** Activations of a prefill grow with the width of the layers, and so with the weights. */
const ACTIVATION_SHARE = 0.1;

const FLOAT_BYTES: Readonly<Record<string, number>> = { float16: 2, half: 2, bfloat16: 2, float32: 4, float: 4 };

/**
 * Estimates from the model's own files, without the network.
 *
 * @returns undefined when the files are not on this machine: the size is unknown.
 * @throws ModelFilesError when they are there and cannot be read.
 */
export async function estimateMemory(
  use: ModelUse,
  environmentVariable: (name: string) => string | undefined,
): Promise<MemoryEstimate | undefined> {
  const files = await findModelFiles(use.model, environmentVariable);
  if (!files) return undefined;
  if (files.kind === 'gguf') return estimateGguf(files.path, use);
  const text = await readFile(join(files.path, 'config.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  let shape: AttentionShape;
  try {
    shape = attentionShape(JSON.parse(text));
  } catch (error) {
    throw new ModelFilesError('config.json is damaged: download the model again.', { cause: error });
  }
  const floatBytes = FLOAT_BYTES[use.dtype ?? ''];
  const reckoned = shape.estimatedWeights * (floatBytes ?? shape.weightBytes);
  const weightsBytes = (await safetensorsBytes(files.path, floatBytes)) ?? reckoned;
  if (weightsBytes === 0) return undefined;
  const devices = use.tensorParallel ?? 1;
  const overhead = FRAMEWORK_OVERHEAD_BYTES + (ACTIVATION_SHARE * weightsBytes) / devices;
  return estimate({ ...shape, weightsBytes }, overhead, use);
}

async function estimateGguf(path: string, use: ModelUse): Promise<MemoryEstimate> {
  try {
    const metadata = readGgufMetadata(path);
    const architecture = String(metadata.values.get('general.architecture') ?? '');
    const { layers, trainedContextTokens, cacheBytesPerToken } = modelShape(metadata, architecture, path);
    const heads = Number(metadata.values.get(`${architecture}.attention.head_count`) ?? 1);
    const cacheHeads = Number(metadata.values.get(`${architecture}.attention.head_count_kv`) ?? heads);
    const numbersPerCacheHead = cacheBytesPerToken / 2 / layers / cacheHeads;
    const shape = { cachedLayers: layers, heads, cacheHeads, numbersPerCacheHead, trainedContextTokens };
    return estimate({ ...shape, weightsBytes: await partsBytes(path) }, GGUF_OVERHEAD_BYTES, use);
  } catch (error) {
    throw new ModelFilesError(`${basename(path)} cannot be read as GGUF: ${(error as Error).message}.`, {
      cause: error,
    });
  }
}

/** The size of all parts of a GGUF that is split as name-00001-of-00003.gguf. */
async function partsBytes(path: string): Promise<number> {
  const [, stem, count] = /^(.*)-\d{5}-of-(\d{5})\.gguf$/.exec(basename(path)) ?? [];
  const isPart = (name: string) => name.startsWith(`${stem}-`) && name.endsWith(`-of-${count}.gguf`);
  const names = stem === undefined ? [basename(path)] : (await readdir(dirname(path))).filter(isPart);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(dirname(path), name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

type Shape = Omit<AttentionShape, 'estimatedWeights' | 'weightBytes'> & { readonly weightsBytes: number };

function estimate(shape: Shape, overheadPerDevice: number, use: ModelUse): MemoryEstimate {
  const devices = use.tensorParallel ?? 1;
  const concurrency = use.concurrency ?? 1;
  const contextTokens = use.contextTokens ?? shape.trainedContextTokens;
  const numberBytes = use.cacheNumberBytes ?? 2;
  const headBytes = shape.cachedLayers * shape.numbersPerCacheHead * numberBytes * contextTokens * concurrency;
  // A head is not divided: with more devices than heads each device holds one.
  const cachePerDevice = Math.ceil(shape.cacheHeads / devices) * headBytes;
  return {
    weightsBytes: Math.ceil(shape.weightsBytes),
    cacheBytes: Math.ceil(cachePerDevice * devices),
    overheadBytes: Math.ceil(overheadPerDevice * devices),
    perDeviceBytes: Math.ceil(shape.weightsBytes / devices + cachePerDevice + overheadPerDevice),
    contextTokens,
    concurrency,
    heads: shape.heads,
  };
}

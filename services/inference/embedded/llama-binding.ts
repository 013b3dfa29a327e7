import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/**
 * The part of node-llama-cpp's native addon that this engine uses.
 *
 * The addon is loaded directly, not through the package's JavaScript: importing that and its probing of the binary in
 * a second process take 0.9 s and 60 MB, and its locks per token cost more than a small model's decode step. The
 * package version is pinned exactly, and the tests of this folder run every call below.
 */
export type LlamaBinding = {
  readonly AddonModel: new (path: string, options: NativeModelOptions) => NativeModel;
  readonly AddonContext: new (model: NativeModel, options: NativeContextOptions) => NativeContext;
  readonly AddonSampler: new (model: NativeModel) => NativeSampler;
  /** Throws for a text that is no grammar. */
  readonly AddonGrammar: new (
    grammar: string,
    options: { readonly addonExports: LlamaBinding },
  ) => NativeGrammar;
  readonly AddonGrammarEvaluationState: new (model: NativeModel, grammar: NativeGrammar) => NativeGrammarState;
  readonly AddonJinjaRenderer: new (template: string) => NativeTemplate;
  setLogger(logger: (level: number, message: string) => void): void;
  setLoggerLogLevel(level: number): void;
  loadBackends(directory?: string): void;
  init(): Promise<void>;
  dispose(): Promise<void>;
  /** Physical cores that are useful for arithmetic. */
  getMathCores(): number;
  /** `false`: CPU only; undefined: no backend was loaded. */
  getGpuType(): 'cuda' | 'vulkan' | 'metal' | false | undefined;
  /** Bytes, summed over all devices. */
  getGpuVramInfo(): { total: number; used: number; unifiedSize: number };
  getIsArchRecurrent(architecture: string): boolean | undefined;
  getIsArchHybrid(architecture: string): boolean | undefined;
};

export type NativeModelOptions = {
  readonly addonExports: LlamaBinding;
  readonly gpuLayers: number;
  readonly useMmap: boolean;
  /** Called with 0 to 1. */
  readonly onLoadProgress: (fraction: number) => void;
};

export type NativeModel = {
  init(): Promise<boolean>;
  dispose(): Promise<void>;
  /** `parseSpecial`: whether the text of a control token becomes that token. */
  tokenize(text: string, parseSpecial: boolean): Uint32Array;
  /** Bytes that are not UTF-8 become U+FFFD. Control tokens have no text. */
  detokenize(tokens: Uint32Array): string;
  getTrainContextSize(): number;
  getModelSize(): number;
  /** -1: none. */
  tokenBos(): number;
  /** -1: none. */
  tokenEos(): number;
  /** As it stands in the vocabulary, in the vocabulary's own way of writing bytes. */
  getTokenString(token: number): string;
  getVocabularyType(): number;
  /** Bit set, see `TOKEN_ATTRIBUTE`. */
  getTokenAttributes(token: number): number;
  /** Whether the token ends a generation: end of text, of turn, of message. */
  isEogToken(token: number): boolean;
  shouldPrependBosToken(): boolean;
};

/**
 * Bits of `getTokenAttributes`. Unknown and control tokens are made from text only on request; a byte token's string is
 * `<0xHH>`.
 */
export const TOKEN_ATTRIBUTE = { unknown: 1, control: 8, byte: 32 } as const;

/** The kind of `getVocabularyType` whose token strings have a printable character for each byte. */
export const BYTE_LEVEL_VOCABULARY = 2;

export type NativeContextOptions = {
  /** Tokens of all sequences together. */
  readonly contextSize: number;
  /** Most tokens of one decode step. */
  readonly batchSize: number;
  readonly sequences: number;
  readonly flashAttention: boolean | 'auto';
  readonly threads: number;
};

export type NativeContext = {
  init(): Promise<boolean>;
  dispose(): Promise<void>;
  getContextSize(): number;
  setThreads(threads: number): void;
  /** Starts an empty batch; the one before is dropped. */
  initBatch(tokens: number): void;
  /** Returns, for each of `logitIndexes` (offsets in `tokens`, ascending), where its logits are after the decode. */
  addToBatch(sequence: number, position: number, tokens: Uint32Array, logitIndexes: Uint32Array): Uint32Array;
  decodeBatch(): Promise<void>;
  /** -1: nothing could be sampled. */
  sampleToken(logitIndex: number, sampler: NativeSampler): Promise<number>;
  /**
   * Samples and tells, for what the sampler left of the vocabulary, `[token, probability, token, probability, ...]`, the
   * likeliest first, and the probability of the sampled token. Both are computed from the logits at the end of the
   * sampler's chain, without its temperature being undone.
   */
  sampleToken(
    logitIndex: number,
    sampler: NativeSampler,
    probabilities: boolean,
    ownProbability?: boolean,
  ): Promise<readonly [token: number, probabilities?: readonly number[], ownProbability?: number]>;
  disposeSequence(sequence: number): void;
  /** Removes positions from `start` to before `end` (-1: to the last); false where the model's memory cannot. */
  removeTokenCellsFromSequence(sequence: number, start: number, end: number): boolean;
};

export type NativeSampler = { applyConfig(config: SamplerConfig): void; dispose(): void };

/** A parsed GBNF grammar. */
export type NativeGrammar = { isTextCompatible(text: string): boolean };

/** How far one text has come in a grammar. A sampler that has it advances it with each token. */
export type NativeGrammarState = object;

/** An absent field leaves that stage out. */
export type SamplerConfig = {
  /** 0: greedy. */
  temperature: number;
  /** 32 bits, unsigned. */
  seed: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repeatPenalty?: number;
  repeatPenaltyMaxTokens?: number;
  repeatPenaltyTokens?: Uint32Array;
  repeatPenaltyPresencePenalty?: number;
  repeatPenaltyFrequencyPenalty?: number;
  tokenBiasKeys?: Uint32Array;
  tokenBiasValues?: Float32Array;
  grammarEvaluationState?: NativeGrammarState;
};

export type NativeTemplate = { render(variables: Record<string, unknown>): string };

/** What a prebuilt binary computes on. */
export type BinaryVariant = 'cpu' | 'cuda' | 'vulkan' | 'metal';

function folderName(platform: NodeJS.Platform, architecture: string, variant: BinaryVariant): string {
  const system = platform === 'darwin' ? 'mac' : platform;
  return variant === 'cpu' ? `${system}-${architecture}` : `${system}-${architecture}-${variant}`;
}

/** Where npm put the binaries of a package, or undefined where it is not installed (another platform, or left out). */
function binariesFolder(name: string): string | undefined {
  const fromLibrary = createRequire(createRequire(import.meta.url).resolve('node-llama-cpp'));
  try {
    return join(dirname(fromLibrary.resolve(`@node-llama-cpp/${name}`)), '..', 'bins');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

/**
 * Loads the prebuilt binary of a variant with its backends; undefined where its package is not installed. llama.cpp's
 * errors go to `onError`, a line at a time.
 */
export function loadBinding(variant: BinaryVariant, onError: (line: string) => void): LlamaBinding | undefined {
  const name = folderName(process.platform, process.arch, variant);
  const binaries = binariesFolder(name);
  if (binaries === undefined) return undefined;
  const folder = join(binaries, name);
  const binding = createRequire(import.meta.url)(join(folder, 'llama-addon.node')) as LlamaBinding;
  // Without a logger llama.cpp prints to stdout, which carries our events. A second setLogger would turn the first off
  // and, a moment later, itself.
  binding.setLogger((_level, line) => onError(line.trim()));
  binding.setLoggerLogLevel(LOG_LEVEL.error);
  binding.loadBackends(folder);
  if (variant === 'cuda' && binding.getGpuType() !== 'cuda') {
    // The second package holds a build for older drivers and cards.
    const extension = binariesFolder(`${name}-ext`);
    if (extension !== undefined) binding.loadBackends(join(extension, name, 'fallback'));
  }
  return binding;
}

/** llama.cpp's levels as the addon numbers them; `setLoggerLogLevel` lets its argument and everything below pass. */
export const LOG_LEVEL = { none: 0, error: 2 } as const;

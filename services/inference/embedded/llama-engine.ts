import { freemem, totalmem } from 'node:os';
import { basename } from 'node:path';
import { type ChatTemplate, createChatTemplate, DEFAULT_CHAT_TEMPLATE } from './chat-template.ts';
import { binaryVariants, type GpuChoice, readDeviceSigns } from './device.ts';
import { createErrorLog, type ErrorLog } from './error-log.ts';
import { type GgufMetadata, readGgufMetadata } from './gguf-metadata.ts';
import {
  type BinaryVariant,
  type LlamaBinding,
  loadBinding,
  type NativeContext,
  type NativeGrammar,
  type NativeModel,
} from './llama-binding.ts';
import { planMemory } from './memory-fit.ts';
import { canReusePrefix, modelShape } from './model-shape.ts';
import { createScheduler, type Scheduler } from './scheduler.ts';
import { chooseThreads } from './threads.ts';
import { createTokenSampler } from './token-sampler.ts';
import { createTokenizer, type Tokenizer } from './tokenizer.ts';

export type EngineOptions = {
  readonly modelPath: string;
  /** Tokens per sequence; undefined: up to 8192, as the memory allows. */
  readonly contextTokens: number | undefined;
  readonly sequences: number;
  /** Undefined: measured. */
  readonly threads: number | undefined;
  readonly gpu: GpuChoice;
};

export type LlamaEngine = {
  /** The file's name without its ending. */
  readonly model: string;
  readonly device: BinaryVariant;
  readonly contextTokens: number;
  readonly sequences: number;
  readonly threads: number;
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate;
  readonly scheduler: Scheduler;
  /** Throws for a text that llama.cpp does not understand. */
  parseGrammar(grammar: string): NativeGrammar;
  /** Ends all generations, then frees the model. */
  close(): Promise<void>;
};

/** The reason for which a model cannot be served, in one line. */
export class ModelLoadError extends Error {
  override readonly name = 'ModelLoadError';
}

/** Most tokens of one decode step. llama.cpp's own default for what it computes at once. */
const BATCH_TOKENS = 512;

/** Loads a model and makes it ready. `onPercent` is called with whole percentages while the weights are read. */
export async function loadEngine(options: EngineOptions, onPercent: (percent: number) => void): Promise<LlamaEngine> {
  const metadata = readMetadata(options.modelPath);
  const log = createErrorLog();
  const { binding, device } = openBinding(options.gpu, log.add);
  await binding.init();

  const architecture = String(metadata.values.get('general.architecture') ?? '');
  const memory = { gpuFreeBytes: device === 'cpu' ? 0 : freeGpuBytes(binding), mainBytes: mainMemoryBytes() };
  const wish = { contextTokens: options.contextTokens, sequences: options.sequences };
  const plan = planMemory(modelShape(metadata, architecture, options.modelPath), wish, memory);

  const model = new binding.AddonModel(options.modelPath, {
    addonExports: binding,
    gpuLayers: plan.gpuLayers,
    useMmap: true,
    onLoadProgress: percentSteps(onPercent),
  });
  if (!(await model.init())) throw new ModelLoadError((await log.first(binding)) ?? 'llama.cpp could not load it');
  const { context, threads } = await openContext(binding, model, options, plan.contextTokens, device, log);

  const tokenizer = createTokenizer(model, metadata.arrayLengths.get('tokenizer.ggml.tokens') ?? 0);
  const scheduler = createScheduler({
    context,
    sequences: options.sequences,
    batchTokens: BATCH_TOKENS,
    canReusePrefix: canReusePrefix(binding, metadata, architecture),
    createSampler: (plan) => createTokenSampler({ binding, model, context }, plan),
    isEndOfGeneration: (token) => tokenizer.endTokens.has(token),
  });

  return {
    model: basename(options.modelPath).replace(/\.gguf$/i, ''),
    device: plan.gpuLayers === 0 ? 'cpu' : device,
    // llama.cpp rounds up; what was planned is what is promised.
    contextTokens: plan.contextTokens,
    sequences: options.sequences,
    threads,
    tokenizer,
    chatTemplate: openChatTemplate(binding, model, metadata, tokenizer),
    scheduler,
    parseGrammar: (grammar) => new binding.AddonGrammar(grammar, { addonExports: binding }),
    async close() {
      await scheduler.close();
      await context.dispose();
      await model.dispose();
      await binding.dispose();
    },
  };
}

async function openContext(
  binding: LlamaBinding,
  model: NativeModel,
  { sequences, threads: askedThreads }: EngineOptions,
  contextTokens: number,
  device: BinaryVariant,
  log: ErrorLog,
): Promise<{ context: NativeContext; threads: number }> {
  const cores = Math.max(1, Math.floor(binding.getMathCores()));
  const context = new binding.AddonContext(model, {
    contextSize: contextTokens * sequences,
    batchSize: BATCH_TOKENS,
    sequences,
    // On the CPU flash attention is half as fast for short contexts, and its half-precision sums make an answer depend
    // on what else is in the batch.
    flashAttention: device === 'cpu' ? false : 'auto',
    threads: askedThreads ?? cores,
  });
  if (!(await context.init())) {
    throw new ModelLoadError((await log.first(binding)) ?? `no memory for ${sequences} x ${contextTokens} tokens`);
  }
  log.print();
  const threads = askedThreads ?? (await chooseThreads(context, model.getModelSize(), cores));
  context.setThreads(threads);
  return { context, threads };
}

function readMetadata(path: string): GgufMetadata {
  try {
    return readGgufMetadata(path);
  } catch (error) {
    throw new ModelLoadError(error instanceof Error ? error.message : String(error));
  }
}

function openBinding(
  choice: GpuChoice,
  onError: (line: string) => void,
): { binding: LlamaBinding; device: BinaryVariant } {
  for (const variant of binaryVariants(choice, readDeviceSigns())) {
    const binding = loadBinding(variant, onError);
    if (binding === undefined) continue;
    if (variant === 'cpu' || binding.getGpuType() === variant) return { binding, device: variant };
    // The package is there and finds no card: its CPU part serves as well as the plain one, and loading that beside it
    // would give the process two copies of llama.cpp.
    if (choice === 'auto') return { binding, device: 'cpu' };
  }
  throw new ModelLoadError(`no llama.cpp for '${choice}' on ${process.platform} ${process.arch}, or no such device`);
}

function freeGpuBytes(binding: LlamaBinding): number {
  const { total, used } = binding.getGpuVramInfo();
  return total - used;
}

function mainMemoryBytes(): number {
  // A container's limit where there is one; 0 or an absurd number means none.
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : Math.max(freemem(), totalmem() / 2);
}

function openChatTemplate(
  binding: LlamaBinding,
  model: NativeModel,
  metadata: GgufMetadata,
  tokenizer: Tokenizer,
): ChatTemplate {
  const source = metadata.values.get('tokenizer.chat_template');
  const tokenText = (token: number): string => (token < 0 ? '' : model.getTokenString(token));
  return createChatTemplate({
    template: new binding.AddonJinjaRenderer(typeof source === 'string' ? source : DEFAULT_CHAT_TEMPLATE),
    tokenizer,
    beginText: tokenText(model.tokenBos()),
    endText: tokenText(model.tokenEos()),
  });
}

/** Turns fractions into whole percentages, each at most once. */
function percentSteps(onPercent: (percent: number) => void): (fraction: number) => void {
  let last = -1;
  return (fraction) => {
    const percent = Math.floor(fraction * 100);
    if (percent <= last) return;
    last = percent;
    onPercent(percent);
  };
}

import { parseArgs } from 'node:util';
import { GPU_CHOICES, type GpuChoice } from './device.ts';
import type { EngineOptions } from './llama-engine.ts';

export type Arguments = EngineOptions & {
  readonly socketPath: string;
  /** Name of the environment variable that holds the bearer key. */
  readonly apiKeyVariable: string | undefined;
};

export const USAGE =
  'main.ts --model <file.gguf> --socket <path> [--context <tokens per sequence>] [--sequences <n>] [--threads <n>] ' +
  '[--gpu auto|none|cuda|metal|vulkan] [--api-key-env <name>]';

export class ArgumentError extends Error {
  override readonly name = 'ArgumentError';
}

const DEFAULT_SEQUENCES = 8;
/** llama.cpp's own limit. */
const MAX_SEQUENCES = 256;

function positiveInteger(name: string, text: string | undefined, maximum: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > maximum) {
    throw new ArgumentError(`--${name} must be a whole number from 1 to ${maximum}, not '${text}'`);
  }
  return value;
}

function gpuChoice(text: string): GpuChoice {
  const choice = GPU_CHOICES.find((candidate) => candidate === text);
  if (choice === undefined) throw new ArgumentError(`--gpu must be one of ${GPU_CHOICES.join(', ')}, not '${text}'`);
  return choice;
}

/** Parses the command line without the program's name. Throws ArgumentError. */
export function parseArguments(argv: readonly string[]): Arguments {
  const values = readOptions(argv);
  const { model, socket } = values;
  if (model === undefined || socket === undefined) throw new ArgumentError('--model and --socket are required');
  return {
    modelPath: model,
    socketPath: socket,
    contextTokens: positiveInteger('context', values.context, 1 << 24),
    sequences: positiveInteger('sequences', values.sequences, MAX_SEQUENCES) ?? DEFAULT_SEQUENCES,
    threads: positiveInteger('threads', values.threads, 1024),
    gpu: gpuChoice(values.gpu ?? 'auto'),
    apiKeyVariable: values['api-key-env'],
  };
}

function readOptions(argv: readonly string[]) {
  const text = { type: 'string' } as const;
  const options = {
    model: text,
    socket: text,
    context: text,
    sequences: text,
    threads: text,
    gpu: text,
    'api-key-env': text,
  };
  try {
    return parseArgs({ args: [...argv], options }).values;
  } catch (error) {
    throw new ArgumentError(error instanceof Error ? error.message : String(error));
  }
}

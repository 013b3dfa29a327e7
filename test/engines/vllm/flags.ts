// The flags of `vllm serve` that the fake takes: those of the mesh and some that operators use.
import { type Flag, flag, type Tool, toggle } from '../kit/arguments.ts';

const integer = (...names: string[]): Flag => ({ names, is: 'integer' });
const number = (...names: string[]): Flag => ({ names, is: 'number' });

const FLAGS: readonly Flag[] = [
  flag('--host'),
  integer('--port'),
  flag('--uds'),
  { names: ['--api-key'], takes: 'values' },
  { names: ['--served-model-name'], takes: 'values' },
  toggle('--enable-request-id-headers'),
  toggle('--enable-prompt-tokens-details'),
  toggle('--enable-log-requests'),
  toggle('--no-enable-log-requests'),
  toggle('--disable-uvicorn-access-log'),
  flag('--disable-access-log-for-endpoints'),
  toggle('--enable-auto-tool-choice'),
  flag('--tool-call-parser'),
  flag('--reasoning-parser'),
  number('--gpu-memory-utilization'),
  integer('--tensor-parallel-size', '-tp'),
  integer('--pipeline-parallel-size', '-pp'),
  integer('--max-model-len'),
  integer('--max-num-seqs'),
  { names: ['--dtype'], choices: ['auto', 'bfloat16', 'float', 'float16', 'float32', 'half'] },
  flag('--quantization', '-q'),
  { names: ['--runner'], choices: ['auto', 'draft', 'generate', 'pooling'] },
  { names: ['--distributed-executor-backend'], choices: ['external_launcher', 'mp', 'ray', 'uni'] },
  { names: ['--load-format'] },
  toggle('--enable-sleep-mode'),
  toggle('--enforce-eager'),
  toggle('--trust-remote-code'),
  toggle('--enable-lora'),
  { names: ['--lora-modules'], takes: 'values' },
  integer('--seed'),
  integer('--stream-interval'),
];

/** The command line of `vllm serve MODEL`. */
export const VLLM_SERVE: Tool = { name: 'vllm serve', library: 'argparse', flags: FLAGS, words: 2 };

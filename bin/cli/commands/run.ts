import { create } from '@bufbuild/protobuf';
import type { Command } from 'commander';
import { type GenerateRequest, GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { printable } from '../../../services/shared/observability/printable.ts';
import { type Commands, examples } from '../command.ts';
import { EXIT, usageError } from '../exit-code.ts';
import {
  addSamplingOptions,
  answerJson,
  chatRequest,
  cutWord,
  generate,
  isWhole,
  message,
  noAnswer,
  type SamplingOptions,
  samplingOf,
} from '../generation.ts';
import { readAll } from '../read-all.ts';
import type { Session } from '../session.ts';

interface RunOptions extends SamplingOptions {
  readonly model?: string;
  readonly system?: string;
  readonly raw?: boolean;
  /** Unset or true: read where it is no terminal. */
  readonly stdin?: boolean;
}

export function add(program: Command, { act }: Commands): Command {
  const run = program
    .command('run [prompt...]')
    .description(
      'One prompt, one answer: standard output has the answer and nothing else. What comes on standard input stands below the prompt. Ends with 3 when the answer was cut short.',
    )
    .option('-m, --model <model>', 'the default one if not given')
    .option('-s, --system <text>', 'how the model is to behave')
    .option('--raw', 'go on from the prompt as it is, without the chat template')
    .option('--no-stdin', 'leave standard input alone');
  return addSamplingOptions(run)
    .addHelpText(
      'after',
      examples(
        ['inference-mesh run "The capital of France?"', ''],
        ['git diff | inference-mesh run "A commit message for this"', 'prompt and standard input'],
        ['inference-mesh run --json "Hello" | jq -r .finish', 'answer, finish and tokens as JSON'],
      ),
    )
    .action(act(runOnce));
}

async function runOnce(session: Session, words: string[], options: RunOptions): Promise<number> {
  const request = requestOf(await promptOf(session, words, options), options);
  const clients = await session.clients();
  const { out, err } = session;
  const answer = noAnswer();
  const show = (piece: string): void => out.write(out.isTerminal ? printable(piece) : piece);
  const view = { text: session.isJson ? () => {} : show, reasoning: () => {} };
  try {
    await generate(clients, request, { signal: session.signal, answer, view });
  } finally {
    // Whatever reads lines gets the last one too.
    if (answer.text !== '' && !answer.text.endsWith('\n') && !session.isJson) out.line();
  }
  if (session.isJson) session.json(answerJson(answer));
  if (isWhole(answer)) return EXIT.ok;
  if (!session.isJson) err.line(`inference-mesh: ${cutWord(answer)}`);
  return EXIT.cutShort;
}

async function promptOf(
  { host, signal, options: { keyFile } }: Session,
  words: string[],
  { stdin }: RunOptions,
): Promise<string> {
  const typed = words.join(' ');
  const takesInput = stdin !== false && !host.stdin.isTTY && keyFile !== '-';
  const piped = takesInput ? await readAll(host.stdin, signal) : '';
  const prompt = [typed, piped.trimEnd()].filter((part) => part !== '').join('\n\n');
  if (prompt === '') throw usageError('[prompt...]', 'give a prompt, or write it to standard input');
  return prompt;
}

function requestOf(prompt: string, options: RunOptions): GenerateRequest {
  const { model = '', system = '', raw = false } = options;
  if (raw && system !== '') throw usageError('--raw', 'has no place for --system');
  const sampling = samplingOf(options);
  if (!raw) return chatRequest(model, system, [message(Role.USER, prompt)], sampling);
  return create(GenerateRequestSchema, {
    model,
    prompt: { input: { case: 'text', value: prompt } },
    sampling: sampling as GenerateRequest['sampling'] & object,
  });
}

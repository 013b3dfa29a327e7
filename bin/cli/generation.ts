import { create } from '@bufbuild/protobuf';
import type { Command } from 'commander';
import {
  type GenerateRequest,
  GenerateRequestSchema,
  type SamplingParameters,
} from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import {
  FinishReason,
  FinishReasonSchema,
  type Started,
  type Usage,
} from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import { type ChatMessage, ChatMessageSchema, Role } from '../../gen/mesh/generation/v1/prompt_pb.ts';
import { collect, decimalNumber, wholeNumber } from './arguments.ts';
import type { Clients } from './connection.ts';
import { CliError, EXIT } from './exit-code.ts';
import { enumWord } from './output/words.ts';

/** How tokens are chosen, as the command line says it. */
export interface SamplingOptions {
  readonly maxTokens?: string;
  readonly temperature?: string;
  readonly topP?: string;
  readonly seed?: string;
  readonly stop?: string[];
}

const MOST_TOKENS = 0xffff_ffff;

/** Adds the options that SamplingOptions are read from. */
export function addSamplingOptions(command: Command): Command {
  return command
    .option('--max-tokens <count>', 'the most tokens of an answer')
    .option('--temperature <number>', '0 (always the likeliest token) to 2')
    .option('--top-p <number>', '0 to 1')
    .option('--seed <number>', 'makes sampling repeatable')
    .option('--stop <texts>', 'end where one of these appears, by commas', collect);
}

/** The sampling of a request. @throws CliError that names the option. */
export function samplingOf(options: SamplingOptions): Partial<SamplingParameters> {
  const { maxTokens, temperature, topP, seed, stop } = options;
  return {
    ...(maxTokens === undefined ? {} : { maxTokens: wholeNumber('--max-tokens', maxTokens, 1, MOST_TOKENS) }),
    ...(temperature === undefined ? {} : { temperature: decimalNumber('--temperature', temperature, 0, 2) }),
    ...(topP === undefined ? {} : { topP: decimalNumber('--top-p', topP, 0, 1) }),
    ...(seed === undefined ? {} : { seed: BigInt(wholeNumber('--seed', seed, 0, Number.MAX_SAFE_INTEGER)) }),
    ...(stop === undefined ? {} : { stop }),
  };
}

/** A message of a conversation. */
export function message(role: Role, text: string): ChatMessage {
  return create(ChatMessageSchema, { role, parts: [{ part: { case: 'text', value: text } }] });
}

/** A request for the next message of a conversation. */
export function chatRequest(
  model: string,
  system: string,
  messages: readonly ChatMessage[],
  sampling: Partial<SamplingParameters>,
): GenerateRequest {
  const all = system === '' ? messages : [message(Role.SYSTEM, system), ...messages];
  return create(GenerateRequestSchema, {
    model,
    prompt: { input: { case: 'chat', value: { messages: [...all] } } },
    sampling: sampling as SamplingParameters,
  });
}

/** An answer, as far as it came. */
export interface Answer {
  text: string;
  reasoning: string;
  started: Started | undefined;
  finish: FinishReason;
  usage: Usage | undefined;
}

/** What is shown of an answer while it comes. */
export interface AnswerView {
  text(piece: string): void;
  reasoning(piece: string): void;
}

/**
 * Runs a generation; `answer` has what came also when this throws.
 *
 * @throws ConnectError as RouterService.Generate; CliError for a stream that broke off.
 */
export async function generate(
  { router }: Clients,
  request: GenerateRequest,
  { signal, answer, view }: { signal: AbortSignal; answer: Answer; view: AnswerView },
): Promise<void> {
  for await (const { event } of router.generate(request, { signal })) {
    switch (event.case) {
      case 'started':
        answer.started = event.value;
        break;
      case 'delta':
        answer.text += event.value.text;
        answer.reasoning += event.value.reasoning;
        if (event.value.reasoning !== '') view.reasoning(event.value.reasoning);
        if (event.value.text !== '') view.text(event.value.text);
        break;
      case 'finished':
        answer.finish = event.value.reason;
        break;
      case 'usage':
        answer.usage = event.value;
        break;
    }
  }
  if (!answer.usage) throw new CliError('The answer broke off.', EXIT.unavailable, 'Try again.');
}

/** An answer of which nothing has come. */
export function noAnswer(): Answer {
  return { text: '', reasoning: '', started: undefined, finish: FinishReason.UNSPECIFIED, usage: undefined };
}

/** Whether the model itself ended its answer. */
export function isWhole({ finish }: Answer): boolean {
  return finish === FinishReason.STOP || finish === FinishReason.TOOL_CALLS;
}

/** Why an answer is not whole, for people. */
export function cutWord({ finish }: Answer): string {
  switch (finish) {
    case FinishReason.LENGTH:
      return 'cut short: --max-tokens, or the context, is used up';
    case FinishReason.QUOTA_EXHAUSTED:
      return 'cut short: a limit on tokens is reached; `limits get` shows which';
    case FinishReason.DEADLINE:
      return 'cut short: it took too long';
    default:
      return `cut short: ${enumWord(FinishReasonSchema, finish)}`;
  }
}

/** An answer as JSON, the shape that docs/cli.md documents. */
export function answerJson(answer: Answer): object {
  const { text, reasoning, started, finish, usage } = answer;
  return {
    text,
    ...(reasoning === '' ? {} : { reasoning }),
    finish: enumWord(FinishReasonSchema, finish).replaceAll(' ', '_'),
    model: started?.modelId ?? '',
    engine: started?.engine ?? '',
    requestId: started?.requestId ?? '',
    promptTokens: usage?.promptTokens ?? 0,
    completionTokens: usage?.completionTokens ?? 0,
  };
}

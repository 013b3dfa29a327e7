import type { Command } from 'commander';
import { HistoryFile, historyPath } from '../chat/history-file.ts';
import { PipedInput, TerminalInput } from '../chat/line-input.ts';
import { completions } from '../chat/slash-commands.ts';
import { Talk } from '../chat/talk.ts';
import { type Commands, examples } from '../command.ts';
import { addSamplingOptions, type SamplingOptions, samplingOf } from '../generation.ts';
import type { Session } from '../session.ts';

interface ChatOptions extends SamplingOptions {
  readonly system?: string;
  /** Unset or true: lines are kept. */
  readonly history?: boolean;
}

export function add(program: Command, { act }: Commands): Command {
  const chat = program
    .command('chat [model]')
    .description(
      'Talks with a model. Ctrl-C cancels the answer, a second one leaves; /help tells the commands. Without a terminal each line of standard input is asked.',
    )
    .option('-s, --system <text>', 'how the model is to behave')
    .option('--no-history', 'keep no file of what was typed');
  return addSamplingOptions(chat)
    .addHelpText(
      'after',
      examples(
        ['inference-mesh chat', 'with the default model'],
        ['inference-mesh chat qwen -s "Answer in French."', ''],
      ),
    )
    .action(act(startChat));
}

async function startChat(session: Session, [model = '']: string[], options: ChatOptions): Promise<number> {
  const { host, out, err } = session;
  const talk = new Talk(session, { model, system: options.system ?? '', sampling: samplingOf(options) });
  // Refuses at once what would fail at the first question, too.
  await talk.begin();
  if (!host.stdin.isTTY) {
    const piped = new PipedInput(host.stdin);
    // Whoever writes may never end.
    session.signal.addEventListener('abort', () => piped.close());
    return await talk.follow(piped, () => {});
  }
  const file = new HistoryFile(options.history === false ? undefined : historyPath(host.env));
  const input = new TerminalInput({
    input: host.stdin,
    output: (out.isTerminal ? out : err).stream,
    history: file.load(),
    complete: completions,
    onInterrupt: (isEmpty) => talk.interrupt(isEmpty, () => input.clear()),
  });
  // From elsewhere, as by kill: the terminal itself sends none in raw mode.
  session.takeSignals((signal) => {
    if (signal === 'SIGINT') talk.interrupt(true, () => input.clear());
    else session.stop(signal);
  });
  session.signal.addEventListener('abort', () => input.close());
  try {
    return await talk.follow(input, (line) => file.add(line));
  } finally {
    input.close();
  }
}

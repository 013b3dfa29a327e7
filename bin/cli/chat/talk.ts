import type { SamplingParameters } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { printable } from '../../../services/shared/observability/printable.ts';
import { EXIT } from '../exit-code.ts';
import { failureOf } from '../failure.ts';
import { type Answer, answerJson, chatRequest, cutWord, generate, isWhole, noAnswer } from '../generation.ts';
import type { Session } from '../session.ts';
import { Conversation } from './conversation.ts';
import type { LineInput } from './line-input.ts';
import { slashCommand } from './slash-commands.ts';

/** With whom and how. */
export interface TalkOptions {
  readonly model: string;
  readonly system: string;
  readonly sampling: Partial<SamplingParameters>;
}

/** A conversation between a person, or a program, and a model. */
export class Talk {
  readonly #session: Session;
  readonly #sampling: Partial<SamplingParameters>;
  readonly #conversation: Conversation;
  readonly #isPerson: boolean;
  /** Cancels the answer that comes now. */
  #answering: AbortController | undefined;
  /** One Ctrl-C was pressed and nothing typed since. */
  #isArmed = false;
  #isLeaving = false;

  constructor(session: Session, { model, system, sampling }: TalkOptions) {
    this.#session = session;
    this.#sampling = sampling;
    this.#conversation = new Conversation(model, system);
    this.#isPerson = session.host.stdin.isTTY === true;
  }

  /** Asks which models there are, and greets. */
  async begin(): Promise<void> {
    const { router } = await this.#session.clients();
    const { models } = await router.listModels({}, this.#session.call);
    if (!this.#isPerson) return;
    const model = this.#conversation.model || models.find(({ isDefault }) => isDefault)?.id || 'the default model';
    this.#say(`talking with ${model}; /help for help, Ctrl-C stops an answer, Ctrl-D leaves`);
  }

  /** Asks line by line until there are no more. Returns how the command ends. */
  async follow(input: LineInput, keep: (line: string) => void): Promise<number> {
    for (;;) {
      const line = await this.#nextLine(input);
      if (this.#isLeaving) return EXIT.interrupted;
      if (line === undefined) {
        if (this.#isPerson) this.#session.err.line();
        return EXIT.ok;
      }
      this.#isArmed = false;
      if (line.trim() === '') continue;
      keep(line.replaceAll('\n', ' '));
      if (!line.startsWith('/')) await this.#ask(line);
      else if ((await this.#command(line)) === 'leave') return EXIT.ok;
      if (this.#isLeaving) return EXIT.interrupted;
    }
  }

  /**
   * Ctrl-C: cancels the answer; else drops what was typed; a second one in a row leaves.
   *
   * @param isEmpty nothing was typed
   * @param clear drops what was typed and asks again
   */
  interrupt(isEmpty: boolean, clear: () => void): void {
    if (this.#isArmed) {
      this.#isLeaving = true;
      this.#answering?.abort();
      this.#session.stop('SIGINT');
      return;
    }
    this.#isArmed = isEmpty || this.#answering !== undefined;
    if (this.#answering) {
      this.#answering.abort();
      return;
    }
    this.#session.err.line();
    if (isEmpty) this.#say('Ctrl-C again, or /exit, leaves');
    clear();
  }

  /** A line that ends with a backslash goes on in the next one. */
  async #nextLine(input: LineInput): Promise<string | undefined> {
    const { err } = this.#session;
    let line = await input.next(this.#isPerson ? err.style('bold', '> ') : '');
    while (this.#isPerson && line?.endsWith('\\')) {
      const more = await input.next('. ');
      line = more === undefined ? undefined : `${line.slice(0, -1)}\n${more}`;
    }
    return line;
  }

  async #command(line: string): Promise<'leave' | 'go on'> {
    const outcome = slashCommand(line, this.#conversation);
    if (outcome.kind === 'leave') return 'leave';
    if (outcome.kind === 'say') for (const said of outcome.lines) this.#say(said);
    if (outcome.kind === 'ask') await this.#ask(outcome.text);
    if (outcome.kind === 'models') await this.#listModels();
    return 'go on';
  }

  async #ask(text: string): Promise<void> {
    const answer = noAnswer();
    this.#conversation.ask(text);
    const cancelling = new AbortController();
    this.#answering = cancelling;
    try {
      await this.#generate(answer, AbortSignal.any([cancelling.signal, this.#session.signal]));
    } catch (error) {
      if (!cancelling.signal.aborted) this.#fail(error);
    } finally {
      this.#answering = undefined;
      this.#conversation.answered(answer.text);
    }
    this.#show(answer, cancelling.signal.aborted);
  }

  async #generate(answer: Answer, signal: AbortSignal): Promise<void> {
    const { model, system, messages } = this.#conversation;
    const { out, isJson } = this.#session;
    const request = chatRequest(model, system, messages, this.#sampling);
    const show = (piece: string): string => (out.isTerminal ? printable(piece) : piece);
    await generate(await this.#session.clients(), request, {
      signal,
      answer,
      view: {
        text: (piece) => {
          if (!isJson) out.write(show(piece));
        },
        reasoning: (piece) => {
          if (!isJson && out.isTerminal) out.write(out.style('dim', show(piece)));
        },
      },
    });
  }

  /** What stands after an answer. */
  #show(answer: Answer, wasCancelled: boolean): void {
    const { out, isJson } = this.#session;
    if (isJson) {
      this.#session.json({ ...answerJson(answer), cancelled: wasCancelled });
      return;
    }
    if (answer.text !== '') out.line();
    if (wasCancelled) this.#say('cancelled');
    else if (answer.usage && !isWhole(answer)) this.#say(cutWord(answer));
  }

  /** A person may try again; a program is told by the exit code. */
  #fail(error: unknown): void {
    if (!this.#isPerson || this.#session.signal.aborted) throw error;
    const { message, hint } = failureOf(error, this.#session.url);
    const { err } = this.#session;
    err.line(err.style('red', printable(message)));
    if (hint) this.#say(hint);
  }

  async #listModels(): Promise<void> {
    const { router } = await this.#session.clients();
    try {
      const { models } = await router.listModels({}, this.#session.call);
      for (const { id, names, ready } of models) this.#say([id, ...names, ready ? '' : '(not loaded)'].join(' '));
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Words about the conversation, not of it. */
  #say(words: string): void {
    const { err } = this.#session;
    err.line(err.style('dim', printable(words)));
  }
}

import { createInterface, type Interface } from 'node:readline';
import { Writable } from 'node:stream';
import type { InputStream, OutputStream } from '../output/terminal.ts';

/** Lines that a person types or a program writes. */
export interface LineInput {
  /** The next line; undefined: there are no more. */
  next(prompt: string): Promise<string | undefined>;
  close(): void;
}

/** What a terminal input is made of. */
export interface TerminalInputOptions {
  readonly input: InputStream;
  readonly output: OutputStream;
  /** Newest first. */
  readonly history: string[];
  readonly complete: (line: string) => string[];
  /** Ctrl-C; `isEmpty`: nothing was typed. */
  readonly onInterrupt: (isEmpty: boolean) => void;
}

/** Collects lines; what comes while nobody asks waits, as pasted lines do. */
class LineQueue {
  readonly #lines: string[] = [];
  #isOver = false;
  #wake: () => void = () => {};

  add(line: string): void {
    this.#lines.push(line);
    this.#wake();
  }

  end(): void {
    this.#isOver = true;
    this.#wake();
  }

  get hasLines(): boolean {
    return this.#lines.length > 0;
  }

  async next(): Promise<string | undefined> {
    while (this.#lines.length === 0 && !this.#isOver) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#lines.shift();
  }
}

/** Echoes what is typed only while somebody is asked: during an answer it would stand between its words. */
class Echo extends Writable {
  isShown = true;
  readonly #output: OutputStream;

  constructor(output: OutputStream) {
    super();
    this.#output = output;
    output.on('resize', () => this.emit('resize'));
  }

  get columns(): number | undefined {
    return this.#output.columns;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    if (this.isShown) this.#output.write(chunk);
    done();
  }
}

/** Lines from a terminal, with history and completion. It stays in raw mode throughout, so Ctrl-C is heard during answers too. */
export class TerminalInput implements LineInput {
  readonly #lines = new LineQueue();
  readonly #echo: Echo;
  readonly #readline: Interface;

  constructor({ input, output, history, complete, onInterrupt }: TerminalInputOptions) {
    this.#echo = new Echo(output);
    this.#readline = createInterface({
      ...{ input, output: this.#echo, terminal: true, history, historySize: history.length + 1_000 },
      removeHistoryDuplicates: true,
      completer: (line: string) => [complete(line), line],
    });
    this.#readline.on('line', (line) => {
      this.#echo.isShown = false;
      this.#lines.add(line);
    });
    this.#readline.on('SIGINT', () => onInterrupt(this.#readline.line === ''));
    this.#readline.on('close', () => this.#lines.end());
    this.#echo.isShown = false;
  }

  async next(prompt: string): Promise<string | undefined> {
    this.#readline.setPrompt(prompt);
    if (!this.#lines.hasLines) {
      this.#echo.isShown = true;
      // Keeps what was typed meanwhile.
      this.#readline.prompt(true);
    }
    return await this.#lines.next();
  }

  /** Drops what was typed, and asks again. */
  clear(): void {
    this.#readline.write(null, { ctrl: true, name: 'e' });
    this.#readline.write(null, { ctrl: true, name: 'u' });
    this.#readline.prompt();
  }

  close(): void {
    this.#readline.close();
  }
}

/** Lines from a pipe or a file. */
export class PipedInput implements LineInput {
  readonly #lines = new LineQueue();
  readonly #readline: Interface;

  constructor(input: InputStream) {
    this.#readline = createInterface({ input, terminal: false });
    this.#readline.on('line', (line) => this.#lines.add(line));
    this.#readline.on('close', () => this.#lines.end());
  }

  next(): Promise<string | undefined> {
    return this.#lines.next();
  }

  close(): void {
    this.#readline.close();
  }
}

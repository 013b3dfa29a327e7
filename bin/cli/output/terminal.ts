import type { ReadStream, WriteStream } from 'node:tty';
import { styleText } from 'node:util';

/** What a program writes to: a terminal, a pipe or a file. */
export type OutputStream = NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY' | 'columns' | 'rows'>>;
/** What a program reads from. */
export type InputStream = NodeJS.ReadableStream &
  Partial<Pick<ReadStream, 'isTTY' | 'setRawMode'>> & { readonly fd?: number };

/** What a text can look like. */
export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan' | 'inverse';

/** Columns of a terminal that does not tell. */
const USUAL_COLUMNS = 80;
const USUAL_ROWS = 24;

/** One output of the program. */
export class Output {
  readonly stream: OutputStream;
  readonly isTerminal: boolean;
  readonly #hasColour: boolean;

  constructor(stream: OutputStream, env: NodeJS.ProcessEnv, mayColour = true) {
    this.stream = stream;
    this.isTerminal = stream.isTTY === true;
    this.#hasColour = mayColour && this.isTerminal && !env.NO_COLOR && env.TERM !== 'dumb';
  }

  /** Characters per line now; undefined: nobody looks at lines. */
  get width(): number | undefined {
    return this.isTerminal ? this.stream.columns || USUAL_COLUMNS : undefined;
  }

  /** Lines of the window now. */
  get height(): number {
    return this.stream.rows || USUAL_ROWS;
  }

  write(text: string): void {
    this.stream.write(text);
  }

  line(text = ''): void {
    this.write(`${text}\n`);
  }

  /** The text as it is to look; without colours as it is. */
  style(style: Style, text: string): string {
    return this.#hasColour ? styleText(style, text, { validateStream: false }) : text;
  }
}

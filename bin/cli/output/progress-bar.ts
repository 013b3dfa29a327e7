import cliTruncate from 'cli-truncate';
import stringWidth from 'string-width';
import { clean } from './table.ts';
import type { Output } from './terminal.ts';

/** How far something is. */
export interface Progress {
  /** E.g. "starting: loading weights". */
  readonly stage: string;
  /** 0 to 100. Unset: not known. */
  readonly percent: number | undefined;
  /** E.g. "12.3 s". */
  readonly elapsed: string;
}

const MOST_BAR = 30;
const LEAST_BAR = 8;
const ERASE_LINE = '\r\u001b[K';

/** The bar as a line of at most `width` characters: first the bar goes, then the end of the stage. */
export function progressLine({ stage, percent, elapsed }: Progress, width: number): string {
  const share = percent === undefined ? '' : `${String(Math.min(100, Math.round(percent))).padStart(3)} %`;
  const words = [share, clean(stage), elapsed].filter(Boolean).join('  ');
  const room = Math.min(MOST_BAR, width - stringWidth(words) - 4);
  if (percent === undefined || room < LEAST_BAR) return cliTruncate(words, width);
  const full = Math.round((room * Math.min(100, percent)) / 100);
  return `[${'█'.repeat(full)}${'░'.repeat(room - full)}]  ${words}`;
}

/** One line that is written over and over in a terminal; elsewhere a line for each new stage. */
export class ProgressBar {
  readonly #output: Output;
  #last = '';
  #isShown = false;

  constructor(output: Output) {
    this.#output = output;
  }

  show(progress: Progress): void {
    if (!this.#output.isTerminal) {
      if (progress.stage !== this.#last) this.#output.line(clean(progress.stage));
      this.#last = progress.stage;
      return;
    }
    // One column less: a full line would wrap in some terminals, and then not be erased.
    const line = progressLine(progress, Math.max(1, (this.#output.width ?? 1) - 1));
    this.#output.write(ERASE_LINE + line);
    this.#isShown = true;
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#isShown) this.#output.write(ERASE_LINE);
    this.#isShown = false;
  }
}

import type { Logger } from 'pino';
import { printable } from '../../shared/observability/printable.ts';

/** Where progress is shown to people. */
export type Terminal = Pick<NodeJS.WriteStream, 'isTTY' | 'columns' | 'write'>;

/** What a display works with. */
export interface DisplayResources {
  readonly terminal: Terminal;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** For progress that nobody watches on a terminal. */
export const NO_TERMINAL: Terminal = { isTTY: false, columns: 0, write: () => true };

/** Is told what happens, e.g. "downloading", and how far it is from 0 to 100. Undefined: that cannot be told. */
export type ProgressListener = (stage: string, percent: number | undefined) => void;

/** Tells a listener how far so many bytes are, once per percent and stage. */
export function perPercent(listener: ProgressListener, totalBytes: number): (stage: string, bytes: number) => void {
  let told = '';
  return (stage, bytes) => {
    const percent = Math.floor((bytes / totalBytes) * 100);
    if (told === `${stage} ${percent}`) return;
    told = `${stage} ${percent}`;
    listener(stage, percent);
  };
}

const REDRAW_EVERY_MS = 100;
const BAR_WIDTH = 24;
const LOG_EVERY_PERCENT = 10;

/** The speed is that of the last seconds: what was fast an hour ago says nothing about the rest. */
const SPEED_WINDOW_MS = 5_000;

const MEGABYTE = 1_000_000;

/** Shows how far something of many bytes is: on a terminal one line that is rewritten, elsewhere a log line per 10 %. */
export class ByteProgress {
  readonly #label: string;
  readonly #totalBytes: number;
  readonly #resources: DisplayResources;
  readonly #samples: { readonly atMs: number; readonly bytes: number }[] = [];
  #drawnAtMs = 0;
  #loggedPercent = 0;
  #isLineOpen = false;

  constructor(label: string, totalBytes: number, resources: DisplayResources) {
    this.#label = printable(label);
    this.#totalBytes = totalBytes;
    this.#resources = resources;
  }

  update(bytes: number): void {
    const atMs = this.#resources.now();
    const percent = Math.floor((bytes / this.#totalBytes) * 100);
    if (this.#samples.length === 0) this.#loggedPercent = percent - (percent % LOG_EVERY_PERCENT);
    if ((this.#samples.at(-1)?.bytes ?? 0) > bytes) this.#samples.length = 0; // It began anew.
    this.#samples.push({ atMs, bytes });
    while (this.#samples.length > 2 && atMs - (this.#samples[0]?.atMs ?? 0) > SPEED_WINDOW_MS) this.#samples.shift();
    if (this.#resources.terminal.isTTY) this.#draw(percent, bytes, atMs);
    else this.#report(percent, bytes);
  }

  /** Ends the line, so that something else can be printed. */
  interrupt(): void {
    if (this.#isLineOpen) this.#resources.terminal.write('\n');
    this.#isLineOpen = false;
  }

  #draw(percent: number, bytes: number, atMs: number): void {
    if (atMs - this.#drawnAtMs < REDRAW_EVERY_MS && bytes < this.#totalBytes) return;
    this.#drawnAtMs = atMs;
    const filled = Math.floor((percent / 100) * BAR_WIDTH);
    const bar = `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}]`;
    const line = `${bar} ${percent} %  ${this.#amounts(bytes)}  ${this.#label}`;
    // A line that wraps could not be rewritten.
    this.#resources.terminal.write(`\r${line.slice(0, (this.#resources.terminal.columns || 80) - 1)}\x1b[K`);
    this.#isLineOpen = true;
  }

  #report(percent: number, bytes: number): void {
    if (percent < this.#loggedPercent + LOG_EVERY_PERCENT) return;
    this.#loggedPercent = percent - (percent % LOG_EVERY_PERCENT);
    this.#resources.log.info({ percent, bytes, totalBytes: this.#totalBytes }, this.#label);
  }

  /** E.g. "206/491 MB  12.3 MB/s  0:23 left". */
  #amounts(bytes: number): string {
    const sizes = `${megabytes(bytes)}/${megabytes(this.#totalBytes)} MB`;
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    const elapsedSeconds = ((last?.atMs ?? 0) - (first?.atMs ?? 0)) / 1_000;
    const bytesPerSecond = elapsedSeconds > 0 ? ((last?.bytes ?? 0) - (first?.bytes ?? 0)) / elapsedSeconds : 0;
    if (bytesPerSecond <= 0) return sizes;
    return `${sizes}  ${megabytes(bytesPerSecond)} MB/s  ${clock((this.#totalBytes - bytes) / bytesPerSecond)} left`;
  }
}

function megabytes(bytes: number): string {
  return (bytes / MEGABYTE).toFixed(bytes < 10 * MEGABYTE ? 1 : 0);
}

/** E.g. "0:23" or "1:02:03". */
function clock(seconds: number): string {
  const whole = Math.ceil(seconds);
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, '0'));
  const hours = Math.floor(whole / 3_600);
  return hours > 0 ? `${hours}:${parts.join(':')}` : parts.join(':').replace(/^0/, '');
}

import type { Host } from '../host.ts';
import type { Output } from '../output/terminal.ts';

const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const ERASE_LINE_END = '\u001b[K';
const ERASE_BELOW = '\u001b[J';

/** The alternate screen of a terminal. What was there before comes back however the process ends, SIGKILL aside. */
export class FullScreen {
  readonly #output: Output;
  readonly #host: Host;
  #isOpen = false;

  constructor(output: Output, host: Host) {
    this.#output = output;
    this.#host = host;
  }

  /** @param onKey what was typed; @param onResize the window has another size */
  open(onKey: (key: string) => void, onResize: () => void): void {
    const { stdin, onExit } = this.#host;
    this.#isOpen = true;
    onExit(() => this.close());
    this.#output.write(ENTER);
    this.#output.stream.on('resize', onResize);
    if (!stdin.isTTY) return;
    // Keys one by one and unseen; Ctrl-C is a key then.
    stdin.setRawMode?.(true);
    stdin.on('data', (chunk) => onKey(String(chunk)));
    stdin.resume();
  }

  /** Writes the lines over those that are there, in one go: nothing flickers. */
  show(lines: readonly string[]): void {
    if (!this.#isOpen) return;
    this.#output.write(HOME + lines.map((line) => line + ERASE_LINE_END).join('\r\n') + ERASE_BELOW);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#output.write(LEAVE);
    const { stdin } = this.#host;
    if (stdin.isTTY) stdin.setRawMode?.(false);
    stdin.pause();
  }
}

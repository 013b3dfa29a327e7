import { appendFileSync, chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Lines that are kept from one chat to the next. */
const MOST_LINES = 1_000;

/** What a person typed in earlier chats, in a file that only its owner reads. */
export class HistoryFile {
  readonly #path: string | undefined;

  /** @param path unset: nothing is kept */
  constructor(path: string | undefined) {
    this.#path = path;
  }

  /** The lines, newest first; what is older than MOST_LINES is dropped from the file. Nothing where it cannot be read. */
  load(): string[] {
    if (this.#path === undefined) return [];
    try {
      const lines = readFileSync(this.#path, 'utf8').split('\n').filter(Boolean);
      chmodSync(this.#path, 0o600);
      const kept = lines.slice(-MOST_LINES);
      if (kept.length < lines.length) writeFileSync(this.#path, `${kept.join('\n')}\n`, { mode: 0o600 });
      return kept.reverse();
    } catch {
      return [];
    }
  }

  /** Keeps a line. A chat goes on where that is not possible. */
  add(line: string): void {
    if (this.#path === undefined || line.trim() === '') return;
    try {
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
      appendFileSync(this.#path, `${line}\n`, { mode: 0o600 });
    } catch {
      // A line that is not remembered is no reason to end a conversation.
    }
  }
}

/** Where the history of chats lies, by the XDG rules; undefined: there is no home. */
export function historyPath({ XDG_STATE_HOME, HOME }: NodeJS.ProcessEnv): string | undefined {
  const state = XDG_STATE_HOME || (HOME ? join(HOME, '.local/state') : undefined);
  return state === undefined ? undefined : join(state, 'inference-mesh', 'chat-history');
}

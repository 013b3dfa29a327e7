import type { StoreStep } from './history.ts';
import { storeWrite } from './lease-record.ts';

/** What scripts write, as MONITOR tells it: everything that changes quota, in the order of the server. */
const WRITE = /^\+?\d+\.\d+ \[\d+ lua\] "(SET|DEL)" ("(?:[^"\\]|\\.)*")(?: ("(?:[^"\\]|\\.)*"))?/;

const ESCAPES: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, a: 7, b: 8 };

/** The steps of the quota store from the lines of MONITOR. */
export class MonitorLog {
  readonly steps: StoreStep[] = [];
  #heldByCounter = new Map<string, number>();
  /** How long each lease lives without a report, in milliseconds. */
  readonly #holdMs = new Map<string, number>();

  /** Takes a line. A script writes its counters first and the lease last. */
  line(line: string): void {
    const [, command = '', key = '', value = '""'] = WRITE.exec(line) ?? [];
    if (key === '') return;
    const write = storeWrite(command, unquoted(key).toString(), unquoted(value));
    if (!write) return;
    if (write.kind === 'counter') {
      this.#heldByCounter.set(write.counter, write.held);
      return;
    }
    const { endedAtMs, expiresAtMs, ...lease } = write.lease;
    const holdMs = this.#holdMs.get(lease.leaseId) ?? expiresAtMs - lease.takenAtMs;
    this.#holdMs.set(lease.leaseId, holdMs);
    // A report says when it came only by when the lease expires from then on.
    const atMs = lease.figures.state === 'held' ? expiresAtMs - holdMs : endedAtMs;
    this.steps.push({ ...lease, atMs, heldByCounter: this.#heldByCounter });
    this.#heldByCounter = new Map();
  }
}

/** The bytes of a text as MONITOR quotes it. */
function unquoted(text: string): Buffer {
  const bytes: number[] = [];
  for (let at = 1; at < text.length - 1; at += 1) {
    if (text[at] !== '\\') {
      bytes.push(text.charCodeAt(at));
      continue;
    }
    at += 1;
    const letter = text[at] ?? '';
    if (letter === 'x') {
      bytes.push(Number.parseInt(text.slice(at + 1, at + 3), 16));
      at += 2;
    } else {
      bytes.push(ESCAPES[letter] ?? letter.charCodeAt(0));
    }
  }
  return Buffer.from(bytes);
}

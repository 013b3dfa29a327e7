import { setTimeout as delay } from 'node:timers/promises';
import { asMeshError } from '../shared/errors/connect-error.ts';
import type { FlowControl } from '../shared/transport/flow-control.ts';
import type { Claim, TaskStore } from './store/task-store.ts';

/** Characters that may wait for the store before the engine is asked to stop. */
const PAUSE_AT = 256 * 1024;

/** The wait before a store that did not answer is asked again, in milliseconds. */
const RETRY_MS = 100;

/**
 * Writes the text of one run as events. Nothing holds a text back: what comes while one is being written goes into the next. A
 * store that is away slows the engine down.
 */
export class DeltaWriter {
  readonly #store: TaskStore;
  readonly #claim: Claim;
  readonly #flow: FlowControl;
  readonly #onLost: (cause?: unknown) => void;
  #waiting = '';
  #sequence = 0;
  #writing: Promise<void> | undefined;
  #isLost = false;

  /** `onLost` is called once when the claim is another's, or with what made writing impossible. */
  constructor(store: TaskStore, claim: Claim, flow: FlowControl, onLost: (cause?: unknown) => void) {
    this.#store = store;
    this.#claim = claim;
    this.#flow = flow;
    this.#onLost = onLost;
  }

  /** Takes text to be written. */
  add(text: string): void {
    this.#waiting += text;
    if (this.#waiting.length >= PAUSE_AT) this.#flow.pause();
    this.#writing ??= this.#write();
  }

  /** Gives up what is not written: the claim is lost. */
  lose(cause?: unknown): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#waiting = '';
    this.#onLost(cause);
  }

  /** Resolves when all is written; false: the claim was lost. */
  async idle(): Promise<boolean> {
    await this.#writing;
    return !this.#isLost;
  }

  async #write(): Promise<void> {
    while (this.#waiting !== '' && !this.#isLost) {
      const text = this.#waiting;
      this.#waiting = '';
      this.#flow.resume();
      await this.#append(text);
    }
    this.#writing = undefined;
  }

  async #append(text: string): Promise<void> {
    while (!this.#isLost) {
      try {
        if (await this.#store.append(this.#claim, this.#sequence, text)) this.#sequence += 1;
        else this.lose();
        return;
      } catch (error) {
        // Unknown: repeated under the same number it is written once.
        if (asMeshError(error).reason !== 'STORE_UNAVAILABLE') return this.lose(error);
        await delay(RETRY_MS);
      }
    }
  }
}

import type { TrunkEvent, TrunkEvents } from '../../../../gen/mesh/generation/v1/trunk_pb.ts';
import { MESSAGE_BYTES } from './trunk-limits.ts';

/**
 * The messages of a trunk, as the RPC that sends them pulls them: what was told in one turn of the event loop is one message, and
 * while the network is slow the next turns join it, up to MESSAGE_BYTES.
 */
export class EventStream implements AsyncIterator<TrunkEvents> {
  readonly #messages: TrunkEvents[] = [];
  /** What the last message holds, as it was told. */
  #lastBytes = 0;
  /** Whether the turn of what waits is over. */
  #isReady = false;
  #isScheduled = false;
  #waiter: PromiseWithResolvers<IteratorResult<TrunkEvents>> | undefined;
  #outcome: { error: unknown } | undefined;

  /** Sends news. */
  push(event: TrunkEvent, bytes: number): void {
    this.#message(bytes).events.push(event);
  }

  /** Sends a message without news: with it go the headers of the answer, by which the other side knows that the trunk is up. */
  greet(): void {
    this.#message(0);
  }

  /** Sends that nothing new is taken. */
  tellDraining(): void {
    this.#message(0).draining = true;
  }

  /** Nothing follows what was pushed; with an error the call fails after it. */
  end(error?: unknown): void {
    this.#outcome ??= { error };
    this.#flush();
  }

  next(): Promise<IteratorResult<TrunkEvents>> {
    this.#waiter = Promise.withResolvers();
    const { promise } = this.#waiter;
    if (this.#isReady || this.#outcome) this.#answer();
    return promise;
  }

  #message(bytes: number): TrunkEvents {
    if (!this.#isReady && !this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(this.#flush);
    }
    const last = this.#messages.at(-1);
    this.#lastBytes += bytes;
    if (last && this.#lastBytes <= MESSAGE_BYTES) return last;
    this.#lastBytes = bytes;
    const message: TrunkEvents = { $typeName: 'mesh.generation.v1.TrunkEvents', events: [], draining: false };
    this.#messages.push(message);
    return message;
  }

  readonly #flush = (): void => {
    this.#isScheduled = false;
    this.#isReady = this.#messages.length > 0;
    if (this.#isReady || this.#outcome) this.#answer();
  };

  /** Gives the reader what there is; only when something is ready or nothing follows. */
  #answer(): void {
    const waiter = this.#waiter;
    if (!waiter) return;
    this.#waiter = undefined;
    const value = this.#messages.shift();
    this.#isReady = this.#messages.length > 0;
    if (value) waiter.resolve({ done: false, value });
    else if (this.#outcome?.error !== undefined) waiter.reject(this.#outcome.error);
    else waiter.resolve({ done: true, value: undefined });
  }
}

/** How many retries may be saved up, so that an engine that dies with many requests before their first token loses few. */
const MOST_SAVED = 100;

/** What is there at the start, before any request has earned something. */
const FIRST_SAVED = 10;

/**
 * How many requests may be tried once more: each new request earns a share of a retry. When everything fails, retries add no
 * more than that share to the load.
 */
export class RetryBudget {
  readonly #share: number;
  #saved: number;

  /** @param share retries per request, 0 to 1. 0: none at all. */
  constructor(share: number) {
    this.#share = share;
    this.#saved = share > 0 ? FIRST_SAVED : 0;
  }

  /** A new request came. */
  earn(): void {
    this.#saved = Math.min(MOST_SAVED, this.#saved + this.#share);
  }

  /** Takes one retry, if there is one. */
  spend(): boolean {
    if (this.#saved < 1) return false;
    this.#saved -= 1;
    return true;
  }
}

/** At most `maximum` at once. */
export interface ConcurrencyRule {
  readonly kind: 'concurrency';
  readonly maximum: number;
}

/** What runs now. */
export interface ConcurrencyState {
  readonly kind: 'concurrency';
  readonly held: number;
}

/** Nothing runs. */
export const EMPTY: ConcurrencyState = { kind: 'concurrency', held: 0 };

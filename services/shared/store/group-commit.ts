import { MeshError } from '../errors/mesh-error.ts';
import { tracer } from '../observability/tracer.ts';
import type { SqliteStore } from './sqlite.ts';
import { storeUnavailable } from './store-error.ts';
import { inStoreSpan } from './traced-store.ts';

/** What its owner does around the operations of one transaction. All of it runs at once, nothing in between. */
export interface GroupOwner {
  /** The transaction has begun; nobody else writes until it ends. */
  begun(): void;
  /** The operations ran: writes what they gathered. */
  flush(): void;
  /** The transaction was undone: forgets what the operations did. */
  undone(): void;
}

/**
 * Runs an operation in a transaction with those that arrive in the same turn of the event loop. It must be synchronous and
 * may run twice, the first time undone. Resolves when a kill of the process no longer loses it.
 *
 * Rejects with MeshError STORE_UNAVAILABLE when the file cannot be written or too much waits; with whatever the operation
 * throws, and then it alone did not happen.
 */
export type GroupCommit = <T>(operation: () => T) => Promise<T>;

/** Operations of one transaction: it blocks the event loop for some milliseconds at most. */
const GROUP_SIZE = 256;

/** Operations that may wait. Beyond it the store cannot keep up, and memory must not pay for it. */
const MAX_WAITING = 20_000;

interface Waiting {
  readonly operation: () => unknown;
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

/** One commit for many operations: the price of a transaction is that of its commit. */
export function createGroupCommit(store: SqliteStore, owner: GroupOwner): GroupCommit {
  let waiting: Waiting[] = [];

  function commit(group: readonly Waiting[]): void {
    try {
      const results = store.transaction(() => {
        owner.begun();
        const answers = group.map(({ operation }) => operation());
        owner.flush();
        return answers;
      });
      for (const [i, { resolve }] of group.entries()) resolve(results[i] as never);
    } catch (error) {
      owner.undone();
      const isStore = error instanceof MeshError && error.reason === 'STORE_UNAVAILABLE';
      if (isStore || group.length === 1) for (const { reject } of group) reject(error);
      // One of them is wrong: each on its own harms only itself.
      else for (const one of group) commit([one]);
    }
  }

  function commitNext(): void {
    const group = waiting.slice(0, GROUP_SIZE);
    waiting = waiting.slice(GROUP_SIZE);
    if (waiting.length > 0) setImmediate(commitNext);
    commit(group);
  }

  const add = <T>(operation: () => T): Promise<T> =>
    new Promise((resolve, reject) => {
      if (waiting.length >= MAX_WAITING) return reject(storeUnavailable('sqlite', new Error('too much waits for it')));
      // After all input of this turn was read.
      if (waiting.length === 0) tracer().outside(() => setImmediate(commitNext));
      waiting.push({ operation, resolve, reject });
    });
  return (operation) => inStoreSpan('commit', () => add(operation));
}

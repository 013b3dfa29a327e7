import { type Context, context, ROOT_CONTEXT } from '@opentelemetry/api';

/**
 * A context of OpenTelemetry. That of its API has its methods as members of its own, which V8 makes old at their birth: each span,
 * and all that it reaches, would stay until the next full collection.
 */
class MeshContext implements Context {
  /** Keys, each followed by its value; there are three at most. */
  readonly #entries: readonly unknown[];

  constructor(entries: readonly unknown[]) {
    this.#entries = entries;
  }

  getValue(key: symbol): unknown {
    const entries = this.#entries;
    for (let i = 0; i < entries.length; i += 2) if (entries[i] === key) return entries[i + 1];
    return undefined;
  }

  setValue(key: symbol, value: unknown): Context {
    return new MeshContext([key, value, ...this.#without(key)]);
  }

  deleteValue(key: symbol): Context {
    return new MeshContext(this.#without(key));
  }

  #without(key: symbol): unknown[] {
    const left: unknown[] = [];
    const entries = this.#entries;
    for (let i = 0; i < entries.length; i += 2) if (entries[i] !== key) left.push(entries[i], entries[i + 1]);
    return left;
  }
}

/** The context of work that is part of nothing. */
export const NO_CONTEXT: Context = new MeshContext([]);

/** The context of what runs now. */
export function activeContext(): Context {
  const active = context.active();
  return active === ROOT_CONTEXT ? NO_CONTEXT : active;
}

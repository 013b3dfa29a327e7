import { loadFailure, notPulled } from './ollama-failures.ts';
import { NO_SHIFT } from './ollama-request.ts';
import type { OpenAiConnection } from './openai-connection.ts';
import { readToldError } from './told-error.ts';

/**
 * Loads a model once, in the background: Ollama gives a load up when whoever asked for it leaves, and a probe does not
 * stay.
 */
export class OllamaLoad {
  readonly #connection: OpenAiConnection;
  readonly #model: string;
  readonly #closing = new AbortController();
  #loading: Promise<void> | undefined;
  #state: 'loading' | 'loaded' | { readonly error: unknown } = 'loading';

  constructor(connection: OpenAiConnection, model: string) {
    this.#connection = connection;
    this.#model = model;
  }

  /**
   * Returns once the model is loaded; the first call begins to. `abilities` are what the server says the model can do.
   *
   * @throws StartRefusedError when it cannot be loaded, an Error while it is being loaded.
   */
  require(abilities: ReadonlySet<string> | undefined): void {
    this.#loading ??= this.#load(abilities).then(
      () => {
        this.#state = 'loaded';
      },
      (error: unknown) => {
        this.#state = { error };
      },
    );
    if (this.#state === 'loading') throw new Error('the model is being loaded');
    if (this.#state !== 'loaded') throw this.#state.error;
  }

  /** Gives the load up. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#loading;
  }

  async #load(abilities: ReadonlySet<string> | undefined): Promise<void> {
    const model = this.#model;
    const embeds = abilities?.has('embedding') && !abilities.has('completion');
    // No prompt and no input: nothing but the load.
    const [name, body] = embeds
      ? ['/api/embed', { model, input: [] }]
      : ['/api/generate', { model, stream: false, ...NO_SHIFT }];
    const path = this.#connection.path(name);
    const answer = await this.#connection.answer('POST', path, this.#closing.signal, body);
    if (answer.status === 404) throw notPulled(model);
    if (answer.status !== 200) throw loadFailure(readToldError(answer.body)?.message ?? `status ${answer.status}`);
  }
}

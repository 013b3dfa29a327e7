import type { Abilities } from './ollama-abilities.ts';
import { loadFailure, notPulled } from './ollama-failures.ts';
import { NO_SHIFT } from './ollama-request.ts';
import type { OpenAiConnection } from './openai-connection.ts';
import type { OpenAiAnswer } from './openai-errors.ts';
import { publicMessage, readToldError } from './told-error.ts';

const EMBEDS_ONLY = /does not support generate/;

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
  require(abilities: Abilities): void {
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

  async #load(abilities: Abilities): Promise<void> {
    const model = this.#model;
    // No prompt and no input: nothing but the load.
    const embeds = abilities?.has('completion') === false && abilities.has('embedding');
    let answer = embeds ? undefined : await this.#ask('/api/generate', { model, stream: false, ...NO_SHIFT });
    // A server that does not say what the model can do says now what it cannot.
    if (!answer || (answer.status === 400 && EMBEDS_ONLY.test(answer.body))) {
      answer = await this.#ask('/api/embed', { model, input: [] });
    }
    if (answer.status === 404) throw notPulled(model);
    if (answer.status === 200) return;
    throw loadFailure(publicMessage(readToldError(answer.body)?.message ?? `status ${answer.status}`));
  }

  #ask(name: string, body: unknown): Promise<OpenAiAnswer> {
    return this.#connection.answer('POST', this.#connection.path(name), this.#closing.signal, body);
  }
}

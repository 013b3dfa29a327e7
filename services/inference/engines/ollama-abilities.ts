import type { OpenAiConnection } from './openai-connection.ts';
import { parseEngineJson } from './told-error.ts';

/** A model as a list of the server has it. Nothing here is certain. */
interface ListedAbilities {
  readonly digest?: unknown;
  /** Not in every version. */
  readonly capabilities?: unknown;
}

/** What a server says that a model can do, e.g. "completion", "tools", "vision". Undefined: it does not say. */
export type Abilities = ReadonlySet<string> | undefined;

/** What one model can do: from the list of models, else asked once for each of its versions, as that reads the model's file. */
export class OllamaAbilities {
  readonly #connection: OpenAiConnection;
  readonly #model: string;
  #shown: { readonly digest: unknown; readonly abilities: Abilities } | undefined;

  constructor(connection: OpenAiConnection, model: string) {
    this.#connection = connection;
    this.#model = model;
  }

  /** What is known so far. */
  get known(): Abilities {
    return this.#shown?.abilities;
  }

  /** Asks where the list does not tell. */
  async learn({ digest, capabilities }: ListedAbilities, signal: AbortSignal): Promise<Abilities> {
    const listed = abilitiesOf(capabilities);
    if (listed) this.#shown = { digest, abilities: listed };
    else if (!this.#shown || this.#shown.digest !== digest) {
      this.#shown = { digest, abilities: await this.#show(signal) };
    }
    return this.#shown?.abilities;
  }

  async #show(signal: AbortSignal): Promise<Abilities> {
    const path = this.#connection.path('/api/show');
    const answer = await this.#connection.answer('POST', path, signal, { model: this.#model });
    if (answer.status !== 200) return undefined;
    return abilitiesOf((parseEngineJson(answer.body) as { capabilities?: unknown } | null)?.capabilities);
  }
}

/** A server that knows of none does not know the model's file. */
function abilitiesOf(told: unknown): Abilities {
  return Array.isArray(told) && told.length > 0 ? new Set(told) : undefined;
}

import type { Prompt } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { type EngineCapabilities, FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { EngineProbe } from './engine.ts';
import { LLAMA_SERVER_METRICS, readMetrics } from './metrics-names.ts';
import type { OpenAiConnection } from './openai-connection.ts';
import { engineFailed } from './openai-errors.ts';
import { openAiMessages, refuseUnsupportedChat } from './openai-messages.ts';
import { StartRefusedError } from './start-refused.ts';

/** What /props tells. Nothing here is certain. */
interface Properties {
  readonly default_generation_settings?: { readonly n_ctx?: unknown };
  /** Of the template. Older servers do not tell. */
  readonly chat_template_caps?: { readonly supports_tools?: unknown; readonly supports_tool_calls?: unknown };
}

/** What is asked of one llama-server besides generations. */
export class LlamaServerControl {
  readonly #engine: string;
  readonly #connection: OpenAiConnection;
  #capabilities: EngineCapabilities;
  #pools = false;

  /** `engine` as errors name it; `capabilities` until the server tells better. */
  constructor(engine: string, connection: OpenAiConnection, capabilities: EngineCapabilities) {
    this.#engine = engine;
    this.#connection = connection;
    this.#capabilities = capabilities;
  }

  /** What the server can honour with its model, as far as it has been asked. */
  get capabilities(): EngineCapabilities {
    return this.#capabilities;
  }

  /**
   * The tokens of a prompt, as the generation routes see it: a conversation through the model's template, the start token
   * in front of both.
   *
   * @throws MeshError as EngineConnection.tokenize.
   */
  async tokens({ input }: Prompt, signal: AbortSignal): Promise<readonly number[]> {
    if (input.case === 'tokenIds') return input.value.ids;
    const content = input.case === 'chat' ? await this.#render(input.value, signal) : input.value;
    if (content === undefined) throw invalidField('prompt', 'is missing');
    // As its generation routes do with both.
    const answer = await this.#connection.json('POST', '/tokenize', signal, { content, add_special: true });
    const tokens = (answer as { tokens?: unknown } | undefined)?.tokens;
    if (!Array.isArray(tokens)) throw engineFailed(this.#engine, new Error('no tokens in the answer'));
    return tokens as number[];
  }

  /**
   * How it is.
   *
   * @throws MeshError ENGINE_BUSY while it loads: 503 "Loading model"; NO_HEALTHY_ENGINE. StartRefusedError for a model
   * that makes no vectors although it shall.
   */
  async probe(signal: AbortSignal): Promise<EngineProbe> {
    const connection = this.#connection;
    await connection.json('GET', '/health', signal);
    const [models, properties, metrics] = await Promise.all([
      connection.json('GET', connection.path('/models'), signal),
      connection.json('GET', '/props', signal),
      connection.answer('GET', '/metrics', signal),
    ]);
    if (this.#capabilities.embeddings && !this.#pools) await this.#requirePooling(signal);
    const { data } = (models ?? {}) as { data?: { id?: unknown }[] };
    const { default_generation_settings: settings, chat_template_caps: template } = (properties ?? {}) as Properties;
    if (template) this.#learnTools(template);
    return {
      modelId: typeof data?.[0]?.id === 'string' ? data[0].id : undefined,
      contextTokens: typeof settings?.n_ctx === 'number' ? settings.n_ctx : undefined,
      capabilities: this.#capabilities,
      ...readMetrics(metrics.body, LLAMA_SERVER_METRICS),
    };
  }

  /** Where the template describes no tools or writes no calls, the server drops them in silence. */
  #learnTools({
    supports_tools: described,
    supports_tool_calls: written,
  }: NonNullable<Properties['chat_template_caps']>) {
    const tools = this.#capabilities.tools && described !== false && written !== false;
    if (tools !== this.#capabilities.tools) this.#capabilities = { ...this.#capabilities, tools };
  }

  /** Without a pooling it starts well and refuses every request. */
  async #requirePooling(signal: AbortSignal): Promise<void> {
    const answer = await this.#connection.answer('POST', this.#connection.path('/embeddings'), signal, { input: 'a' });
    if (answer.status === 400 && answer.body.includes("Pooling type 'none'")) {
      throw new StartRefusedError(
        FailureCause.UNSUPPORTED_MODEL,
        "Pooling type 'none': the model makes one vector for each token.",
        'The model names no pooling, as those do that generate text. If it is made for embeddings, name in extra_args the one that its card asks for, e.g. --pooling mean.',
      );
    }
    this.#pools = true;
  }

  async #render(chat: Extract<Prompt['input'], { case: 'chat' }>['value'], signal: AbortSignal): Promise<string> {
    refuseUnsupportedChat(chat, this.#capabilities, this.#engine);
    const { templateOptions } = chat;
    const body = {
      messages: openAiMessages(chat),
      ...(templateOptions ? { chat_template_kwargs: templateOptions } : {}),
    };
    const answer = await this.#connection.json('POST', '/apply-template', signal, body);
    const rendered = (answer as { prompt?: unknown } | undefined)?.prompt;
    if (typeof rendered !== 'string') throw engineFailed(this.#engine, new Error('no prompt in the answer'));
    return rendered;
  }
}

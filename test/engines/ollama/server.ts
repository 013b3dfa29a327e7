// The routes of a fake Ollama: what is pulled, what is loaded, and the load itself.
import { setTimeout as delay } from 'node:timers/promises';
import type { FakeState } from '../kit/engine-state.ts';
import type { FaultScript } from '../kit/fault-script.ts';
import type { FakeExchange, FakeRoute } from '../kit/http-server.ts';
import { fakeVector } from '../kit/openai-server.ts';
import { answerGeneration } from './answers.ts';
import { modelsFolder, pulledModels } from './models.ts';
import { ABORTED_LINE, FAILURES, ollamaForm } from './texts.ts';

const BUSY = 'server busy, please try again.  maximum pending requests exceeded';
const DEFAULT_CONTEXT = 4_096;
const DEFAULT_QUEUE = 512;

/** A model in memory, with what it was loaded for. */
interface Loaded {
  readonly model: string;
  readonly contextTokens: number;
  readonly shift: boolean;
}

/** The server side of a fake Ollama. */
export class FakeOllama {
  readonly #script: FaultScript;
  readonly #state: FakeState;
  readonly #form = ollamaForm();
  readonly #contextTokens = Number(process.env.OLLAMA_CONTEXT_LENGTH ?? DEFAULT_CONTEXT);
  readonly #parallel = Number(process.env.OLLAMA_NUM_PARALLEL ?? 1);
  readonly #queue = Number(process.env.OLLAMA_MAX_QUEUE ?? DEFAULT_QUEUE);
  #loaded: Loaded | undefined;

  constructor(script: FaultScript, state: FakeState) {
    this.#script = script;
    this.#state = state;
  }

  get routes(): Readonly<Record<string, FakeRoute>> {
    return {
      'GET /': ({ reply }) => reply(200, 'Ollama is running'),
      'GET /api/version': ({ reply }) => reply(200, { version: '0.17.4' }),
      'GET /api/tags': ({ reply }) => reply(200, { models: this.#pulled().map((name) => this.#listed(name)) }),
      'GET /api/ps': ({ reply }) => reply(200, { models: this.#loaded ? [running(this.#loaded)] : [] }),
      'POST /api/show': ({ body, reply }) => {
        const model = this.#find(body.model);
        if (model === undefined) return reply(404, { error: `model '${body.model}' not found` });
        const shown = { template: '', details: { format: 'gguf' }, model_info: {} };
        const tells = process.env.FAKE_TELLS_NOTHING === undefined;
        reply(200, tells ? { ...shown, capabilities: abilitiesOf(model) } : shown);
      },
      'POST /api/generate': (exchange) => this.#generate(exchange, exchange.body.prompt),
      'POST /api/chat': (exchange) => this.#generate(exchange, exchange.body.messages),
      'POST /api/embed': (exchange) => this.#embed(exchange),
    };
  }

  #pulled(): string[] {
    const { wrongModel } = this.#script;
    return wrongModel === undefined ? pulledModels(modelsFolder()) : [wrongModel];
  }

  #find(name: unknown): string | undefined {
    return this.#pulled().find((model) => model === name || model === `${name}:latest`);
  }

  #listed(name: string): object {
    const model = { name, model: name, size: 5_000_000_000, digest: 'ab', details: { format: 'gguf' } };
    return this.#form.listsAbilities ? { ...model, capabilities: abilitiesOf(name) } : model;
  }

  async #generate(exchange: FakeExchange, prompt: unknown): Promise<void> {
    const { body, reply } = exchange;
    const refusal = refusalOf(exchange);
    if (refusal !== undefined) return reply(400, { error: refusal });
    if (!(await this.#isLoaded(exchange))) return;
    if (prompt === undefined || prompt === '')
      return reply(200, { model: body.model, done: true, done_reason: 'load' });
    if (this.#state.running >= this.#parallel + this.#queue) return reply(503, { error: BUSY });
    const contextTokens = this.#contextTokens;
    const { tooLong } = this.#form;
    await answerGeneration(exchange, { script: this.#script, state: this.#state, contextTokens, tooLong });
  }

  async #embed(exchange: FakeExchange): Promise<void> {
    const { body, path, headers, reply } = exchange;
    if (!(await this.#isLoaded(exchange))) return;
    const input = body.input as string[];
    this.#state.last = { path, headers, body };
    if (input.some((text) => text.length > this.#contextTokens)) {
      return reply(400, { error: 'the input length exceeds the context length' });
    }
    const embeddings = input.map((text) => fakeVector(text, Number(body.dimensions ?? 4)));
    reply(200, { model: body.model, embeddings, total_duration: 1, load_duration: 1, prompt_eval_count: input.length });
  }

  /** Loads where the loaded model is another one or was loaded for other options, as the real one does. */
  async #isLoaded({ body, reply, response }: FakeExchange): Promise<boolean> {
    const model = this.#find(body.model);
    if (model === undefined) {
      reply(404, { error: `model '${body.model}' not found` });
      return false;
    }
    const options = (body.options ?? {}) as { num_ctx?: number };
    const wanted = { model, contextTokens: options.num_ctx ?? this.#contextTokens, shift: body.shift !== false };
    if (JSON.stringify(this.#loaded) === JSON.stringify(wanted)) return true;
    this.#loaded = undefined;
    const { loadLines, loadedLine, failedLoad } = this.#form;
    for (const line of loadLines) {
      await delay((this.#script.startMs ?? 0) / loadLines.length);
      process.stderr.write(`${response.destroyed ? ABORTED_LINE : line}\n`);
      if (response.destroyed) return false;
    }
    const failure = this.#script.failStart && FAILURES[this.#script.failStart];
    if (failure?.at === 'load') {
      process.stderr.write(`${failure.lines.join('\n')}\n`);
      reply(500, { error: failedLoad(failure.lines.at(-1) ?? '') });
      return false;
    }
    process.stderr.write(`${loadedLine}\n`);
    this.#loaded = wanted;
    return true;
  }
}

/** By its name: what the model is for is in its file, of which a fake has none. */
function abilitiesOf(model: string): readonly string[] {
  if (model.includes('embed')) return ['embedding'];
  return model.includes('plain') ? ['completion'] : ['completion', 'tools', 'thinking'];
}

function refusalOf({ path, body }: FakeExchange): string | undefined {
  const model = String(body.model);
  const abilities = abilitiesOf(model);
  if (body.think && !abilities.includes('thinking')) return `"${model}" does not support thinking`;
  if (!abilities.includes('completion'))
    return `"${model}" does not support ${path === '/api/chat' ? 'chat' : 'generate'}`;
  if (!Array.isArray(body.tools) || abilities.includes('tools')) return undefined;
  return `registry.ollama.ai/library/${model} does not support tools`;
}

function running({ model, contextTokens }: Loaded): object {
  return {
    name: model,
    model,
    size: 1,
    size_vram: 1,
    expires_at: '2318-01-01T00:00:00Z',
    context_length: contextTokens,
  };
}

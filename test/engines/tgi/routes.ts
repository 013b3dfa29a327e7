// The routes of the fake TGI's web server, in the real one's forms.
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import type { FakeState } from '../kit/engine-state.ts';
import type { FaultScript } from '../kit/fault-script.ts';
import { countGeneration, type FakeExchange, type FakeRoute } from '../kit/http-server.ts';
import { streamTokens, textOf, tokensOf } from '../kit/token-stream.ts';
import { chatForm, nativeForm, type TgiAsked } from './forms.ts';

/** How this web server was started. */
export interface TgiServer {
  readonly script: FaultScript;
  readonly state: FakeState;
  /** What it says it serves. */
  readonly model: string;
  /** What it was told to serve. */
  readonly ownModel: string;
  /** Where its first shard should be. */
  readonly shardSocketPath: string;
  readonly maxTotalTokens: number;
  readonly maxStopTexts: number;
  readonly maxAlternatives: number;
  readonly maxConcurrentRequests: number;
}

type Body = Readonly<Record<string, unknown>>;

/** As it tells an error: under status 200 when it streams, else with the status of the type. */
export interface TgiError {
  readonly error: string;
  readonly error_type: string;
}

export const PROMPT_TOKENS = 5;

const DEFAULT_TOKENS = 8;

/** All of them. */
export function tgiRoutes(server: TgiServer): Readonly<Record<string, FakeRoute>> {
  const { state, model } = server;
  return {
    'GET /health': ({ reply }) => reply(200, ''),
    'GET /info': ({ reply }) =>
      reply(200, {
        model_id: model,
        model_sha: null,
        model_pipeline_tag: null,
        max_concurrent_requests: server.maxConcurrentRequests,
        max_stop_sequences: server.maxStopTexts,
        max_input_tokens: server.maxTotalTokens - 1,
        max_total_tokens: server.maxTotalTokens,
        router: 'text-generation-router',
        version: '3.3.7-dev0',
      }),
    'GET /v1/models': ({ reply }) =>
      reply(200, { object: 'list', data: [{ id: model, object: 'model', created: 0, owned_by: model }] }),
    'GET /metrics': ({ reply }) => reply(200, metricsText(state)),
    'POST /tokenize': ({ body, reply }) => reply(200, tokensOfText(String(body.inputs))),
    'POST /chat_tokenize': ({ body, reply }) => {
      const messages = body.messages as { content: string }[];
      const templated = `<s>${messages.map(({ content }) => content).join('')}`;
      reply(200, { tokenize_response: tokensOfText(templated), templated_text: templated });
    },
    'POST /generate_stream': (exchange) => {
      const { inputs, parameters = {} } = exchange.body as { inputs?: unknown; parameters?: Body };
      return answer(server, exchange, { inputs: String(inputs ?? ''), parameters, isChat: false });
    },
    'POST /v1/chat/completions': (exchange) => {
      const { body } = exchange;
      // What the real one makes of a chat request; any model but its own is an adapter.
      const parameters = {
        ...body,
        max_new_tokens: body.max_tokens,
        top_n_tokens: body.top_logprobs,
        temperature: body.temperature === 0 ? undefined : body.temperature,
        adapter_id: body.model === 'tgi' ? undefined : body.model,
      };
      return answer(server, exchange, { inputs: JSON.stringify(body.messages), parameters, isChat: true });
    },
  };
}

async function answer(
  server: TgiServer,
  exchange: FakeExchange,
  { inputs, parameters, isChat }: { readonly inputs: string; readonly parameters: Body; readonly isChat: boolean },
): Promise<void> {
  const { script, state } = server;
  const { body, response } = exchange;
  const refusal = (await shardProblem(server)) ?? validate(server, inputs, parameters);
  if (typeof parameters.seed === 'number' && parameters.seed < 0) {
    return exchange.reply(422, 'Failed to deserialize the JSON body into the target type: seed: invalid value');
  }
  countGeneration(state, exchange);
  response.writeHead(200, { 'content-type': 'text/event-stream', 'x-compute-type': 'gpu+optimized' });
  const asked: TgiAsked = {
    ...tokensUntilStop(script, parameters),
    alternatives: Number(parameters.top_n_tokens ?? 0),
    tools: (body.tools as TgiAsked['tools']) ?? [],
    logprobs: Boolean(body.logprobs),
    includeUsage: Boolean((body.stream_options as Body | undefined)?.include_usage),
    model: server.model,
  };
  const form = isChat ? chatForm(asked) : nativeForm(asked);
  if (refusal) {
    response.end(form.refusal(refusal));
    return;
  }
  state.promptTokens += PROMPT_TOKENS;
  await streamTokens(response, { ...script, tokens: asked.total }, state, {
    ...form,
    error: () =>
      form.refusal({ error: 'Request failed during generation: Server error: CUDA error', error_type: 'generation' }),
  });
}

/** It stops where its text ends with a stop text, which stays in the text; a stop text within a token is none. */
function tokensUntilStop(
  script: FaultScript,
  { stop, max_new_tokens: limit }: Body,
): Pick<TgiAsked, 'total' | 'reason'> {
  const asked = Number(limit ?? DEFAULT_TOKENS);
  const total = tokensOf(script, asked);
  const stops = (stop ?? []) as string[];
  let made = '';
  for (let index = 0; index < total; index++) {
    made += textOf(script, index);
    if (stops.some((one) => made.endsWith(one))) return { total: index + 1, reason: 'stop_sequence' };
  }
  return { total, reason: total === asked ? 'length' : 'eos_token' };
}

/** Its shard is whoever holds the socket. */
async function shardProblem({ shardSocketPath, ownModel }: TgiServer): Promise<TgiError | undefined> {
  const served = await text(connect(shardSocketPath)).catch((error: Error) => error.message);
  if (served === ownModel) return undefined;
  const error = `Request failed during generation: the shard at ${shardSocketPath} is not ours`;
  return { error, error_type: 'generation' };
}

function validate(server: TgiServer, inputs: string, parameters: Body): TgiError | undefined {
  const { max_new_tokens: wanted, top_p: topP, top_k: topK, temperature, top_n_tokens: alternatives } = parameters;
  const problem = (words: string): TgiError => ({
    error: `Input validation error: ${words}`,
    error_type: 'validation',
  });
  if (server.state.running >= server.maxConcurrentRequests) {
    return { error: 'Model is overloaded', error_type: 'overloaded' };
  }
  if (inputs === '') return problem('`inputs` cannot be empty');
  if (typeof temperature === 'number' && temperature <= 0) return problem('`temperature` must be strictly positive');
  if (typeof topP === 'number' && (topP <= 0 || topP >= 1)) return problem('`top_p` must be > 0.0 and < 1.0');
  if (typeof topK === 'number' && topK <= 0) return problem('`top_k` must be strictly positive');
  if (((parameters.stop ?? []) as string[]).length > server.maxStopTexts) {
    return problem(`\`stop\` supports up to ${server.maxStopTexts} stop sequences. Given: too many`);
  }
  if (Number(alternatives ?? 0) > server.maxAlternatives) {
    return problem(`\`top_n_tokens\` must be >= 0 and <= ${server.maxAlternatives}. Given: ${alternatives}`);
  }
  if (parameters.response_format && parameters.tools) {
    return { error: 'Tool error: Grammar and tools are mutually exclusive', error_type: 'tool_error' };
  }
  if (parameters.adapter_id) return { error: 'Request failed during generation: no adapter', error_type: 'generation' };
  if (PROMPT_TOKENS + Number(wanted ?? 0) <= server.maxTotalTokens) return undefined;
  return problem(
    `\`inputs\` tokens + \`max_new_tokens\` must be <= ${server.maxTotalTokens}. Given: ${PROMPT_TOKENS} \`inputs\` tokens and ${wanted} \`max_new_tokens\``,
  );
}

/** One token a word, and the start token that it adds. */
function tokensOfText(inputs: string): object[] {
  const words = inputs.match(/\s*\S+/g) ?? [];
  return words.map((word, index) => ({ id: 100 + index, text: word, start: 0, stop: word.length }));
}

function metricsText(state: FakeState): string {
  return [
    '# TYPE tgi_request_count counter',
    `tgi_request_count ${state.served + state.aborted + state.running}`,
    `tgi_request_success ${state.served}`,
    `tgi_request_failure{err="dropped"} ${state.aborted}`,
    '# TYPE tgi_queue_size gauge',
    'tgi_queue_size 0',
    '# TYPE tgi_batch_current_size gauge',
    `tgi_batch_current_size ${state.running}`,
    'tgi_batch_current_max_tokens 1000',
    `tgi_batch_inference_count{method="prefill"} ${state.served}`,
    `tgi_batch_inference_count{method="decode"} ${state.step}`,
    `tgi_request_input_length_sum ${state.promptTokens}`,
    `tgi_request_generated_tokens_sum ${state.generatedTokens}`,
    '',
  ].join('\n');
}

// What the fake vLLM refuses, in the words of version 0.32.
import type { FakeExchange } from '../kit/http-server.ts';
import type { VllmServer } from './server.ts';

type Body = Readonly<Record<string, unknown>>;

/** Ids from here on are none of the model's. */
const VOCABULARY = 151_936;
const STOP_LIMIT = 4;

interface Refusal {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: number;
}

const bad = (message: string, param: string | null): Refusal => ({
  message,
  type: 'BadRequestError',
  param,
  code: 400,
});

/** As `bad`, with what its messages end with. */
const badValue = (message: string, param: string, value: unknown): Refusal =>
  bad(`${message} (parameter=${param}, value=${value})`, param);

/** Answers a request that the server refuses by itself; returns whether it did. */
export function refusedByServer(server: VllmServer, contextTokens: number, { body, reply }: FakeExchange): boolean {
  const refusal = invalid(body) ?? unfit(server, contextTokens, body);
  if (refusal) reply(refusal.code, { error: refusal });
  return refusal !== undefined;
}

/** What only the engine refuses, which for a stream is after the head of the answer. */
export function refusedByEngine({ args }: VllmServer, body: Body): Refusal | undefined {
  const strange = (Array.isArray(body.prompt) ? body.prompt : []).find((id) => Number(id) >= VOCABULARY);
  if (strange !== undefined) return bad(`Token id ${strange} is out of vocabulary`, null);
  const biased = Object.keys(body.logit_bias ?? {}).filter((id) => Number(id) >= VOCABULARY);
  if (biased.length > 0) {
    const problem = `token_id(s) [${biased}] in logit_bias contain out-of-vocab token ids. Vocabulary size: ${VOCABULARY}`;
    return badValue(problem, 'logit_bias', `[${biased}]`);
  }
  if (body.thinking_token_budget !== undefined && !args.has('--reasoning-parser')) {
    return bad(
      'thinking_token_budget is set but reasoning_config is not configured. Please set --reasoning-parser and/or --reasoning-config to use thinking_token_budget.',
      null,
    );
  }
  return undefined;
}

/** Pydantic's, of the whole body. */
function invalid({ stop }: Body): Refusal | undefined {
  if (!Array.isArray(stop) || stop.length <= STOP_LIMIT) return undefined;
  const input = `'input': '<list of ${stop.length} items>'`;
  const message = [
    '2 validation errors:',
    `  {'type': 'string_type', 'loc': 'body.stop', 'msg': 'Input should be a valid string', ${input}}`,
    `  {'type': 'too_long', 'loc': 'body.stop', 'msg': 'List should have at most ${STOP_LIMIT} items after validation, not ${stop.length}', ${input}, 'ctx': {'field_type': 'List', 'max_length': ${STOP_LIMIT}, 'actual_length': ${stop.length}}}`,
  ].join('\n');
  return { message, type: 'Bad Request', param: 'body.stop', code: 400 };
}

function unfit({ model, args }: VllmServer, contextTokens: number, body: Body): Refusal | undefined {
  const { temperature, prompt, max_tokens: maxTokens } = body;
  if (body.model !== model) {
    const message = `The model \`${body.model}\` does not exist. Valid aliases: ${model}.`;
    return { message, type: 'NotFoundError', param: 'model', code: 404 };
  }
  if (Number(temperature) > 2) {
    return badValue(`temperature must be in [0, 2], got ${temperature}.`, 'temperature', temperature);
  }
  if (body.tool_choice === 'auto' && !args.has('--enable-auto-tool-choice')) {
    return bad('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set', null);
  }
  if (Number(maxTokens) > contextTokens) {
    const problem = `max_tokens=${maxTokens} cannot be greater than max_model_len=${contextTokens}. Please request fewer output tokens.`;
    return badValue(problem, 'max_tokens', maxTokens);
  }
  if (!Array.isArray(prompt) || prompt.length < contextTokens) return undefined;
  // It clips what is asked for to what is left.
  if (prompt.length === contextTokens) return badValue('max_tokens must be at least 1, got 0.', 'max_tokens', 0);
  const counted = prompt.length;
  const problem = `This model's maximum context length is ${contextTokens} tokens. However, your prompt contains ${counted} input tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input prompt.`;
  return badValue(problem, 'input_tokens', counted);
}

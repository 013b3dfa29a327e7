import type { UpstreamBody } from './upstream.ts';

/** A piece of an answer: what its delta holds, or how the answer ends. */
export interface Piece {
  readonly text?: string;
  readonly reasoning?: string;
  readonly toolCalls?: readonly object[];
  readonly finish?: string;
  /** The last piece of an answer that is complete: how many tokens it had. */
  readonly tokens?: number;
  readonly error?: object;
  /** Breaks the connection. */
  readonly cut?: true;
  /** Before it. */
  readonly pauseMs?: number;
}

const PROMPT_TOKENS = 5;
const CITIES = ['Bergen', 'Tromsø'];

/** The pieces that a command stands for. */
export function* piecesOf(command: string, body: UpstreamBody): Generator<Piece> {
  const [word, argument] = command.split(' ');
  const count = Number(argument ?? 4);
  const told = toolResults(body);
  if (word === 'echo') yield* texts([JSON.stringify(body)], body);
  else if (word === 'think') {
    for (const reasoning of ['Let me', ' think.']) yield { reasoning };
    yield* texts(['It is ', '42.'], body, 4);
  } else if (word === 'weather' && told.length > 0) yield* texts(told, body);
  else if (word === 'weather' && body.tools) yield* calls();
  else if (word === 'person') yield* texts(['{"name":', '"Ada",', '"age":36}'], body);
  else if (word === 'endless') {
    for (let at = 0; ; at += 1) yield { text: `${at} `, pauseMs: 5 };
  } else if (word === 'fault' || word === 'cut') {
    for (let at = 0; at < count; at += 1) yield { text: `${at} ` };
    yield word === 'cut' ? { cut: true, pauseMs: 50 } : { error: { message: 'CUDA error', code: 500 } };
  } else yield* texts(numbers(count), body);
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `${at} `);
}

function* texts(all: readonly string[], { max_tokens: limit }: UpstreamBody, more = 0): Generator<Piece> {
  const kept = all.slice(0, Number(limit ?? all.length));
  for (const text of kept) yield { text };
  yield { finish: kept.length < all.length ? 'length' : 'stop' };
  yield { tokens: kept.length + more };
}

/** Two calls, each with its name first and its arguments in pieces. */
function* calls(): Generator<Piece> {
  for (const [index, city] of CITIES.entries()) {
    yield {
      toolCalls: [{ index, id: `call_${index}`, type: 'function', function: { name: 'get_weather', arguments: '' } }],
    };
    for (const part of ['{"city":', `"${city}"}`]) yield { toolCalls: [{ index, function: { arguments: part } }] };
  }
  yield { finish: 'tool_calls' };
  yield { tokens: 8 };
}

function toolResults({ messages }: UpstreamBody): string[] {
  if (!Array.isArray(messages)) return [];
  return messages.filter(({ role }) => role === 'tool').map(({ content }) => `${content} `);
}

/** The chunks of a piece, one for each choice that was asked for; the bill is for all. */
export function chunkOf(piece: Piece, body: UpstreamBody): object[] {
  const choices = Number(body.n ?? 1);
  if (piece.error) return [{ error: piece.error }];
  if (piece.tokens !== undefined) {
    const made = piece.tokens * choices;
    const usage = {
      prompt_tokens: PROMPT_TOKENS,
      completion_tokens: made,
      total_tokens: PROMPT_TOKENS + made,
      prompt_tokens_details: { cached_tokens: 2 },
      completion_tokens_details: { reasoning_tokens: made > 4 ? 2 : 0 },
    };
    return [{ choices: [], usage }];
  }
  return Array.from({ length: choices }, (_, index) => ({ choices: [choiceOf(piece, index, body)] }));
}

function choiceOf({ text, reasoning, toolCalls, finish }: Piece, index: number, body: UpstreamBody): object {
  const delta = { content: text, reasoning_content: reasoning, tool_calls: toolCalls };
  return {
    index,
    ...(body.messages ? { delta } : { text: text ?? '' }),
    logprobs: text === undefined || body.logprobs === undefined ? null : logprobsOf(text, body),
    finish_reason: finish ?? null,
  };
}

function logprobsOf(token: string, body: UpstreamBody): object {
  if (!body.messages)
    return { tokens: [token], token_logprobs: [-0.25], top_logprobs: [{ [token]: -0.25, other: -2 }] };
  const bytes = [...Buffer.from(token)];
  return { content: [{ token, logprob: -0.25, bytes, top_logprobs: [{ token: 'other', logprob: -2, bytes: null }] }] };
}

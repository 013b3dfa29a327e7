import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, expect, test, vi } from 'vitest';
import { PrincipalSchema } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { FinishReason } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { PromptSchema } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { GenerationFacts } from './generation-facts.ts';
import { RequestFacts } from './request-facts.ts';
import { createRequestLog } from './request-log.ts';
import { timeField } from './time-field.ts';

afterEach(() => vi.useRealTimers());

const KEY = `im_0123456789ab_${'s'.repeat(49)}`;

/** A request of which everything is known. */
function wholeRequest(): RequestFacts {
  const facts = new RequestFacts('req_1', 'POST', true);
  Object.assign(facts, {
    route: '/v1/chat/completions',
    traceId: 'a'.repeat(32),
    clientIp: '10.0.0.1',
    endUser: 'team-7',
  });
  facts.principal = create(PrincipalSchema, { keyId: 'k1', userId: 'ann', organizationId: 'acme', tier: 'free' });
  const generation = new GenerationFacts('chat');
  Object.assign(generation, { modelId: 'org/chat', engine: 'e', queuedMs: 1.5, firstTokenAtMs: facts.beganAtMs + 10 });
  Object.assign(generation, {
    promptTokens: 5,
    completionTokens: 7,
    cachedTokens: 1,
    reasoningTokens: 2,
    takeovers: 1,
  });
  generation.finishReason = FinishReason.TOOL_CALLS;
  generation.prompt = create(PromptSchema, { input: { case: 'text', value: `my key is ${KEY}` } });
  generation.answers = [`it is ${KEY}, "said"\u001b[2J\u202e`];
  facts.generation = generation;
  return facts;
}

function lineOf(facts: RequestFacts, status: number): Record<string, unknown> & { text: string } {
  const lines: string[] = [];
  createRequestLog({ write: (line) => lines.push(line) }, true).write(facts, status);
  expect(lines).toHaveLength(1);
  return { ...(JSON.parse(lines[0] ?? '') as object), text: lines[0] ?? '' };
}

test('all that is known is in the line, secrets and control characters are not', () => {
  const line = lineOf(wholeRequest(), 200);
  expect(line).toMatchObject({
    ...{ level: 'info', requestId: 'req_1', traceId: 'a'.repeat(32), protocol: 'rest', method: 'POST', status: 200 },
    ...{ route: '/v1/chat/completions', outcome: 'ok', clientIp: '10.0.0.1', endUser: 'team-7', takeovers: 1 },
    ...{
      keyId: 'k1',
      user: 'ann',
      organization: 'acme',
      tier: 'free',
      modelAsked: 'chat',
      model: 'org/chat',
      engine: 'e',
    },
    ...{ promptTokens: 5, completionTokens: 7, cachedTokens: 1, reasoningTokens: 2, queueMs: 1.5, firstTokenMs: 10 },
    ...{ finish: 'tool_calls', prompt: expect.stringContaining('my key is [secret]') },
    answers: ['it is [secret], "said"\u001b[2J\u202e'],
  });
  expect(line.text).not.toContain('s'.repeat(20));
  for (const character of ['\u001b', '\u202e']) expect(line.text).not.toContain(character);
});

test('every field of a line is documented', () => {
  const docs = readFileSync(resolve(import.meta.dirname, '../../../docs/logs.md'), 'utf8');
  const { text: _, ...line } = lineOf(wholeRequest(), 200);
  expect(Object.keys(line).filter((name) => !docs.includes(`\`${name}\``))).toEqual([]);
});

test('what is refused says why, and nothing of what it never came to', () => {
  const facts = new RequestFacts('req_2', 'GET', false);
  expect(lineOf(facts, 404)).toMatchObject({ status: 404, outcome: 'refused' });
  facts.reason = 'RATE_LIMIT_EXCEEDED';
  // An RPC over gRPC is answered with 200 whatever becomes of it.
  facts.status = 429;
  const line = lineOf(facts, 200);
  expect(line).toMatchObject({ status: 429, outcome: 'RATE_LIMIT_EXCEEDED' });
  expect(Object.keys(line).sort()).toEqual(
    ['durationMs', 'level', 'method', 'outcome', 'protocol', 'requestId', 'status', 'text', 'time'].sort(),
  );
});

test('a name that no model has may be anything', () => {
  const facts = new RequestFacts('req_3', 'POST', false);
  facts.generation = new GenerationFacts(KEY);
  expect(lineOf(facts, 404)).toMatchObject({ modelAsked: '[secret]' });
});

test('times of lines', () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  for (const time of ['2026-11-21T23:59:59.009Z', '2026-11-21T23:59:59.999Z', '2026-11-22T00:00:00.000Z']) {
    vi.setSystemTime(new Date(time));
    expect(timeField()).toBe(`,"time":"${time}"`);
  }
});

import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { create } from '@bufbuild/protobuf';
import type { Prompt } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { EngineCapabilitiesSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { EngineAdapter, EngineConnection, EnginePlace, EngineSetting } from './engine.ts';
import type { LlamaCppEntry } from './llama-cpp-entry.ts';
import { llamaCppLaunch } from './llama-cpp-launch.ts';
import { OpenAiConnection } from './openai-connection.ts';
import { engineFailed } from './openai-errors.ts';
import { openAiMessages, refuseUnsupportedChat } from './openai-messages.ts';
import { deviceDemand, newEngineKey, newSocketPath } from './process-launch.ts';

const CAPABILITIES = create(EngineCapabilitiesSchema, {
  chat: true,
  tokenPrompts: true,
  tokenIds: true,
  logprobs: true,
  json: true,
  tokenize: true,
  logitBias: true,
  continuesText: true,
  continuesChat: true,
  continuesTokens: true,
});

/** More than any context holds; the child clips it to what is left. */
const UNBOUNDED_TOKENS = 2 ** 31 - 1;

/** The least that is worth a device: where less is free for the cache, the child shortens its context further. */
const SMALLEST_CACHE_TOKENS = 8_192;

/** Half of what the child keeps. */
const KEEP_ALIVE_MS = 300_000;

/** The body fields that the child honours. */
const FIELDS = new Set([
  'model',
  'messages',
  'prompt',
  'max_tokens',
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'frequency_penalty',
  'presence_penalty',
  'repetition_penalty',
  'seed',
  'stop',
  'logit_bias',
  'logprobs',
  'top_logprobs',
  'response_format',
  'guided_json',
  'ignore_eos',
  'return_token_ids',
  'continue_text',
  'continue_token_ids',
]);

/** llama.cpp inside a child process of ours, on a Unix socket. */
export function llamaCppEngine(entry: LlamaCppEntry): EngineAdapter {
  const modelId = basename(entry.model, '.gguf');
  return {
    kind: entry.engine,
    capabilities: CAPABILITIES,
    address: `embedded:${entry.engine}`,
    modelId,
    deviceKind: 'cpu',
    lifecycle: 'started',
    portCount: 0,
    demand: () => {
      const use = { model: entry.model, contextTokens: entry.max_model_len ?? SMALLEST_CACHE_TOKENS };
      // Who names devices wants it there.
      const fallsBackToCpu = entry.devices === undefined;
      return deviceDemand(entry, { ...use, concurrency: entry.max_concurrency }, { fallsBackToCpu });
    },
    connect: (setting, place) => connect(entry, modelId, setting, place),
  };
}

function connect(entry: LlamaCppEntry, modelId: string, setting: EngineSetting, place: EnginePlace): EngineConnection {
  const socketPath = newSocketPath(setting);
  const apiKey = newEngineKey();
  const connection = new OpenAiConnection(
    { baseUrl: new URL('http://localhost/v1'), socketPath, apiKey, keepAliveMs: KEEP_ALIVE_MS },
    {
      engine: entry.name,
      capabilities: CAPABILITIES,
      fields: FIELDS,
      unboundedTokens: UNBOUNDED_TOKENS,
      continuousUsage: true,
      chatContinuation: 'fields',
    },
  );
  return {
    launch: llamaCppLaunch(entry, setting, { ...place, socketPath, apiKey }),
    generate: (request, call, sink) => connection.generate(request, modelId, call, sink),
    async tokenize(prompt, signal) {
      const answer = await connection.json('POST', '/tokenize', signal, tokenizeBody(prompt, entry.name));
      const tokens = (answer as { tokens?: unknown } | undefined)?.tokens;
      if (!Array.isArray(tokens)) throw engineFailed(entry.name, new Error('no tokens in the answer'));
      return tokens as number[];
    },
    async probe(signal) {
      const health = await connection.json('GET', '/health', signal);
      const waiting = (health as { requests_waiting?: unknown } | undefined)?.requests_waiting;
      return { waiting: typeof waiting === 'number' ? waiting : undefined };
    },
    metricsText: connection.metricsText,
    async close() {
      await connection.close();
      await rm(socketPath, { force: true });
    },
  };
}

function tokenizeBody(prompt: Prompt, engine: string): object {
  switch (prompt.input.case) {
    case 'chat':
      refuseUnsupportedChat(prompt.input.value, CAPABILITIES, engine);
      return { messages: openAiMessages(prompt.input.value) };
    case 'tokenIds':
      return { prompt: prompt.input.value.ids };
    case 'text':
      return { content: prompt.input.value };
    default:
      throw invalidField('prompt', 'is missing');
  }
}

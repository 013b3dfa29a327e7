import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Prompt } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { EngineCapabilitiesSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import type { AnswerDecoder } from './answer-decoder.ts';
import { sendWithinContext } from './context-clipping.ts';
import type { DeviceDemand, EngineAdapter, EngineConnection, EnginePlace, EngineSetting } from './engine.ts';
import { EVENT_STREAM, OpenAiConnection, startedEvent } from './openai-connection.ts';
import { deviceDemand, newEngineKey } from './process-launch.ts';
import { PromptCount } from './prompt-count.ts';
import { StopCutter } from './stop-cutter.ts';
import { TgiChatStream } from './tgi-chat-stream.ts';
import { probeTgi, tgiTokens } from './tgi-control.ts';
import type { TgiEntry } from './tgi-entry.ts';
import { errorOfTgiResponse } from './tgi-errors.ts';
import { TGI_PORT_COUNT, tgiLaunch, tgiMemoryShare } from './tgi-launch.ts';
import { type TgiRequest, tgiRequest } from './tgi-request.ts';
import { TgiStream } from './tgi-stream.ts';

/**
 * Not among them: token ids as prompt, for which it has no route, several completions, and biases, which it drops. Nor
 * images: a model that sees none takes their address for text.
 */
const CAPABILITIES = create(EngineCapabilitiesSchema, {
  chat: true,
  tokenIds: true,
  logprobs: true,
  tools: true,
  json: true,
  tokenize: true,
  // Its chat route opens a new message always.
  continuesText: true,
});

/** Methods that make weights smaller than their files: what is needed is not in the files. */
const QUANTIZED_WHILE_LOADING = new Set(['bitsandbytes', 'bitsandbytes-nf4', 'bitsandbytes-fp4', 'eetq', 'fp8']);

/** What its own warm-up fills when it is given no length: the prompts of one batch, 4,096 tokens by default. */
const WARM_UP_TOKENS = 4_096;

/** Hugging Face's Text Generation Inference, `text-generation-launcher`. */
export function tgiEngine(entry: TgiEntry): EngineAdapter {
  return {
    kind: entry.engine,
    capabilities: CAPABILITIES,
    address: `loopback:${entry.engine}`,
    modelId: entry.model,
    deviceKind: entry.devices?.length === 0 ? 'cpu' : 'cuda',
    lifecycle: 'started',
    portCount: TGI_PORT_COUNT,
    demand: () => demand(entry),
    connect: (setting, place) => connect(entry, setting, place),
  };
}

/**
 * Its cache takes what the weights leave of its share, and all requests share it: `max_concurrency` more is not needed. One
 * sequence of the length that it is given must fit, else its web server ends; without a length it takes what fits.
 */
function demand(entry: TgiEntry): Promise<DeviceDemand | undefined> {
  const { model, max_model_len: contextTokens = WARM_UP_TOKENS, dtype, quantization } = entry;
  const shrinks = quantization !== undefined && QUANTIZED_WHILE_LOADING.has(quantization);
  const use = shrinks ? undefined : { model, contextTokens, dtype };
  return deviceDemand(entry, use, { share: tgiMemoryShare(entry), fallsBackToCpu: false });
}

function connect(entry: TgiEntry, setting: EngineSetting, place: EnginePlace): EngineConnection {
  const apiKey = newEngineKey();
  const shardSocketPath = join(setting.runDirectory, `${randomBytes(4).toString('hex')}.tgi`);
  const connection = new OpenAiConnection(
    {
      baseUrl: new URL(`http://127.0.0.1:${place.ports[0]}/v1`),
      apiKey,
      maxConcurrency: entry.max_concurrency,
    },
    { engine: entry.name, capabilities: CAPABILITIES, continuousUsage: false },
  );
  const tokenize = (prompt: Prompt, signal: AbortSignal) => tgiTokens(entry.name, connection, prompt, signal);
  return {
    launch: tgiLaunch(entry, { ...place, shardSocketPath, apiKey }),
    generate: (asked, call, taker) =>
      sendWithinContext(asked, entry.max_model_len, taker, (request, sink) =>
        generate(entry, connection, tokenize, { request, call, sink }),
      ),
    tokenize,
    probe: (signal) => probeTgi(connection, signal),
    metricsText: connection.metricsText,
    async close() {
      await connection.close();
      const shards = Array.from(
        { length: Math.max(1, place.devices.length) },
        (_, rank) => `${shardSocketPath}-${rank}`,
      );
      await Promise.all(shards.map((path) => rm(path, { force: true })));
    },
  };
}

interface Generation {
  readonly request: GenerateRequest;
  readonly call: GenerationCall;
  readonly sink: GenerationSink;
}

function generate(
  entry: TgiEntry,
  connection: OpenAiConnection,
  tokenize: (prompt: Prompt, signal: AbortSignal) => Promise<readonly number[]>,
  { request, call, sink }: Generation,
): void {
  const engine = entry.name;
  let upstream: TgiRequest;
  try {
    upstream = tgiRequest(request, engine, CAPABILITIES);
  } catch (error) {
    sink.fail(asMeshError(error));
    return;
  }
  const { sampling, prompt } = request;
  const started = startedEvent(request, { modelId: entry.model, engine }, call);
  const asked = { tokenIds: sampling?.returnTokenIds ?? false, logprobs: sampling?.logprobs ?? false };
  const decoder = (): AnswerDecoder => {
    const stream = upstream.path === '/generate_stream' ? new TgiStream(started, asked) : new TgiChatStream(started);
    // It returns stop texts with the completion and sees none that ends within a token.
    return sampling?.stop.length ? new StopCutter(stream, sampling.stop) : stream;
  };
  const form = { engine, contentType: EVENT_STREAM, decoder, errorOf: errorOfTgiResponse };
  const count = async (signal: AbortSignal): Promise<number> => (prompt ? (await tokenize(prompt, signal)).length : 0);
  connection.exchange(upstream.path, upstream.body, form, call, new PromptCount(sink, call.signal, count));
}

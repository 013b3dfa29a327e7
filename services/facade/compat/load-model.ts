import { durationMs } from '@bufbuild/protobuf/wkt';
import type { Client } from '@connectrpc/connect';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { InferenceService, LoadModelResponse } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { requestOptions } from '../http/caller.ts';
import type { Endpoint } from '../http/endpoint.ts';
import { validBody } from '../http/validate.ts';
import { Exchange, type ExchangeResources } from '../openai/exchange.ts';
import { deviceOf, progressOf, stateOf } from './engine-words.ts';
import { jsonLoadAnswer, type LoadAnswer, streamLoadAnswer } from './load-answer.ts';
import { loadAnswers } from './load-answer-schema.ts';
import { asRouteError, modelName } from './model-fields.ts';

/** The body of `POST /load_model`. What it does not name is ignored. */
const bodySchema = z.looseObject({
  model_name: modelName.describe(
    'A configured name, a GGUF file below `<data directory>/models`, `hf:user/repository[:quantization]`, or an id on the hub.',
  ),
  device: z
    .string()
    .regex(/^(auto|cpu|cuda(:\d{1,3})?)$/, 'expected "auto", "cpu", "cuda" or "cuda:<index>"')
    .nullish()
    .describe('`auto`, `cpu`, `cuda` or `cuda:<index>`. Default: `auto`.'),
  hf_token: z
    .string()
    .regex(/^[!-~]{0,512}$/, 'expected at most 512 printable characters without spaces')
    .nullish()
    .describe('For models that the hub does not show to everyone. Never logged and never stored.'),
});

/** What the route needs. */
export interface LoadRouteContext extends ExchangeResources {
  readonly inference: Client<typeof InferenceService>;
  readonly keepAliveMs: number;
}

/** Silence after which the connection of an answer that may take an hour is probed, in milliseconds. */
const PROBE_AFTER_MS = 15_000;

/** `POST /load_model`. */
export const loadModelEndpoint: Endpoint<LoadRouteContext> = {
  method: 'POST',
  path: '/load_model',
  access: 'caller',
  startsWork: true,
  scope: 'models:manage',
  tag: 'Models at run time',
  summary: 'Load a model',
  description:
    'Answers when the model is ready, however long that takes; at once when it is already. With `Accept: text/event-stream` ' +
    'it tells its progress on the way. A client that leaves does not end the load.',
  body: {
    name: 'LoadModelRequest',
    schema: bodySchema,
    examples: {
      configured: { model_name: 'chat' },
      onCpu: { model_name: 'Qwen/Qwen2.5-0.5B-Instruct', device: 'cpu' },
    },
  },
  answers: loadAnswers,
  errors: { 404: 'There is no such model.', 409: 'No device has room for it, or it is being unloaded.' },
  handler: loadModelRoute,
};

/** Answers when the model is ready or streams the progress. A client that leaves does not end the load. */
function loadModelRoute(context: LoadRouteContext): (request: FastifyRequest, reply: FastifyReply) => void {
  return (request, reply) => {
    const body = validBody(bodySchema, request.body);
    request.raw.socket.setKeepAlive(true, PROBE_AFTER_MS);
    const exchange = new Exchange(request, reply, context);
    const wantsEvents = request.headers.accept?.includes('text/event-stream') === true;
    const answer = wantsEvents ? streamLoadAnswer(exchange, context.keepAliveMs) : jsonLoadAnswer(exchange);
    const options = requestOptions(request, context.clientIp, { signal: exchange.call.signal });
    const { device, hf_token: hfToken } = body;
    const load = { model: body.model_name, device: device ?? 'auto', hfToken: hfToken ?? '' };
    void follow(context.inference.loadModel(load, options), body.model_name, answer);
  };
}

async function follow(load: AsyncIterable<LoadModelResponse>, model: string, answer: LoadAnswer): Promise<void> {
  try {
    let last: LoadModelResponse | undefined;
    for await (const progress of load) {
      last = progress;
      if (progress.engine?.state !== EngineState.READY) answer.progress(progressBody(progress));
    }
    if (last?.engine?.state !== EngineState.READY) {
      throw new MeshError('PEER_UNAVAILABLE', 'The load broke off. Send the request again to follow it.');
    }
    await answer.end(readyBody(model, last));
  } catch (error) {
    answer.fail(asRouteError(error));
  }
}

function progressBody({ engine, elapsed }: LoadModelResponse): object {
  return {
    ...(engine ? { state: stateOf(engine), ...progressOf(engine) } : {}),
    elapsed_seconds: elapsed ? durationMs(elapsed) / 1000 : 0,
  };
}

function readyBody(model: string, { engine, elapsed }: LoadModelResponse): object {
  const device = engine ? deviceOf(engine) : '';
  return {
    message: `Model '${model}' is loaded on ${device}.`,
    model_name: model,
    device,
    load_seconds: elapsed ? durationMs(elapsed) / 1000 : 0,
  };
}

import type { Client } from '@connectrpc/connect';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { InferenceService } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { requestOptions } from '../http/caller.ts';
import type { Endpoint } from '../http/endpoint.ts';
import { JSON_TYPE } from '../http/json-type.ts';
import { rateLimitHeaders } from '../http/rate-limit-headers.ts';
import { validBody } from '../http/validate.ts';
import { Exchange, type ExchangeResources } from '../openai/exchange.ts';
import { asRouteError, modelName } from './model-fields.ts';

/** The body of `POST /unload_model`. What it does not name is ignored. */
const bodySchema = z.looseObject({
  model_name: modelName.nullish().describe('Default: the only one that is loaded.'),
});

const answerSchema = z.object({ message: z.string() });

/** What the route needs. */
export interface UnloadRouteContext extends ExchangeResources {
  readonly inference: Client<typeof InferenceService>;
}

/** `POST /unload_model`. */
export const unloadModelEndpoint: Endpoint<UnloadRouteContext> = {
  method: 'POST',
  path: '/unload_model',
  access: 'caller',
  scope: 'models:manage',
  tag: 'Models at run time',
  summary: 'Unload a model',
  description:
    'Answers when running streams have ended, at the latest after the drain time, and the memory is back. Until it is loaded ' +
    'again, requests for the model answer 503.',
  body: {
    name: 'UnloadModelRequest',
    schema: bodySchema,
    required: false,
    examples: { one: { model_name: 'chat' }, only: {} },
  },
  answers: {
    200: {
      description: 'It is unloaded.',
      json: { name: 'ModelUnloaded', schema: answerSchema, example: { message: "Model 'chat' is unloaded." } },
    },
  },
  errors: { 404: 'There is no such model.', 409: 'Nothing is loaded, or several are and none was named.' },
  handler: unloadModelRoute,
};

/** Answers when running streams have ended and the memory is back. */
function unloadModelRoute(
  context: UnloadRouteContext,
): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  return async (request, reply) => {
    const { model_name: model } = validBody(bodySchema, request.body ?? {});
    const exchange = new Exchange(request, reply, context);
    try {
      const options = requestOptions(request, context.clientIp, { signal: exchange.call.signal });
      const { engines } = await context.inference.unloadModel({ model: model ?? '' }, options);
      await exchange.lookUpLimits();
      const names = [...new Set(engines.flatMap(({ engine }) => engine?.name ?? []))];
      const message = `Model '${model ?? names.join("', '")}' is unloaded.`;
      if (!exchange.end()) return;
      await reply
        .headers(rateLimitHeaders(exchange.limits ?? []))
        .type(JSON_TYPE)
        .send(JSON.stringify({ message }));
    } catch (error) {
      if (exchange.end()) await reply.send(asRouteError(error));
    }
  };
}

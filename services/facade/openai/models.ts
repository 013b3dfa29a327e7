import { timestampMs } from '@bufbuild/protobuf/wkt';
import type { Client } from '@connectrpc/connect';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Model, RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { AddressedRequest } from '../../shared/interceptors/client-ip.ts';
import { CALL_TIMEOUT_MS, requestOptions } from '../http/caller.ts';
import type { Endpoint } from '../http/endpoint.ts';
import { JSON_TYPE } from '../http/json-type.ts';
import type { LimitBook } from '../http/limit-book.ts';
import { rateLimitHeaders } from '../http/rate-limit-headers.ts';

/** What the model routes need. */
export interface ModelRouteContext {
  readonly router: Client<typeof RouterService>;
  readonly limitBook: LimitBook;
  readonly clientIp: (request: AddressedRequest) => string | undefined;
}

type Handler<R extends FastifyRequest = FastifyRequest> = (request: R, reply: FastifyReply) => Promise<string>;

const modelSchema = z.object({
  id: z.string().describe('In the list the underlying id; of one model the name that was asked for.'),
  object: z.literal('model'),
  created: z.int().describe('Unix time in seconds.'),
  owned_by: z.string(),
  root: z.string().describe('The underlying id.'),
  max_model_len: z.int().optional().describe('The context, in tokens, where it is known.'),
});

const listSchema = z.object({ object: z.literal('list'), data: z.array(modelSchema) });

const EXAMPLE = {
  id: 'Qwen/Qwen3-8B',
  object: 'model',
  created: 1_795_248_000,
  owned_by: 'inference-mesh',
  root: 'Qwen/Qwen3-8B',
  max_model_len: 8192,
};

/** `GET /v1/models`. */
export const listModelsEndpoint: Endpoint<ModelRouteContext> = {
  method: 'GET',
  path: '/v1/models',
  access: 'caller',
  tag: 'OpenAI',
  summary: 'List the models',
  description: 'One entry per model that the caller may use, the default first.',
  answers: {
    200: {
      description: 'The models.',
      json: { name: 'ModelList', schema: listSchema, example: { object: 'list', data: [EXAMPLE] } },
    },
  },
  handler: listModelsRoute,
};

/** `GET /v1/models/{id}`. */
export const getModelEndpoint: Endpoint<ModelRouteContext> = {
  method: 'GET',
  path: '/v1/models/{+id}',
  access: 'caller',
  tag: 'OpenAI',
  summary: 'Tell of one model',
  description: 'Answers to every name of a model.',
  params: z.object({
    id: z
      .string()
      .describe('An id, a configured name or an alias; slashes in it may be bare or encoded.')
      .meta({ examples: ['chat'] }),
  }),
  answers: { 200: { description: 'The model.', json: { name: 'Model', schema: modelSchema, example: EXAMPLE } } },
  errors: { 404: 'There is no such model.' },
  handler: getModelRoute,
};

function listModelsRoute(context: ModelRouteContext): Handler {
  return async (request, reply) => {
    const models = await modelsOf(context, request, reply);
    return JSON.stringify({ object: 'list', data: models.map((model) => modelObject(model, model.id)) });
  };
}

function getModelRoute(context: ModelRouteContext): Handler {
  return async (request, reply) => {
    const id = wildcardOf(request.params);
    const models = await modelsOf(context, request, reply);
    const model = models.find((candidate) => candidate.id === id || candidate.names.includes(id));
    if (!model) {
      throw new MeshError('MODEL_NOT_FOUND', 'This model does not exist. GET /v1/models lists those that do.', {
        metadata: { model: id },
      });
    }
    return JSON.stringify(modelObject(model, id));
  };
}

async function modelsOf(
  { router, limitBook, clientIp }: ModelRouteContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<readonly Model[]> {
  const [{ models }, limits] = await Promise.all([
    router.listModels({}, requestOptions(request, clientIp, { timeoutMs: CALL_TIMEOUT_MS })),
    limitBook.of(request),
  ]);
  reply.headers(rateLimitHeaders(limits)).type(JSON_TYPE);
  return models;
}

/** OpenAI's model object, with vLLM's `root` and `max_model_len`. */
function modelObject(model: Model, id: string): object {
  return {
    id,
    object: 'model',
    created: model.createdAt ? Math.floor(timestampMs(model.createdAt) / 1000) : 0,
    owned_by: 'inference-mesh',
    root: model.id,
    ...(model.contextTokens > 0 ? { max_model_len: model.contextTokens } : {}),
  };
}

function wildcardOf(params: unknown): string {
  const id = typeof params === 'object' && params !== null && '*' in params ? params['*'] : '';
  return typeof id === 'string' ? id : '';
}

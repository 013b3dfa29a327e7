import type { Client } from '@connectrpc/connect';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type Engine, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { RegistryService } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import type { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import type { AddressedRequest } from '../../shared/interceptors/client-ip.ts';
import { CALL_TIMEOUT_MS, requestOptions } from '../http/caller.ts';
import type { Endpoint } from '../http/endpoint.ts';
import { JSON_TYPE } from '../http/json-type.ts';
import type { LimitBook } from '../http/limit-book.ts';
import { rateLimitHeaders } from '../http/rate-limit-headers.ts';
import { deviceOf, progressOf, stateOf } from './engine-words.ts';

/** What the route needs. */
export interface EngineStatusContext {
  /** Called on behalf of the caller: it knows which models are his to see. */
  readonly router: Client<typeof RouterService>;
  /** Called as a process of the mesh. */
  readonly registry: Client<typeof RegistryService>;
  readonly limitBook: LimitBook;
  readonly clientIp: (request: AddressedRequest) => string | undefined;
}

const answerSchema = z.object({
  status: z.enum(['cuda: model loaded on GPU', 'cpu: model loaded on CPU', 'no model loaded']),
  engines: z.array(
    z.object({
      model: z.string().describe('Its name in the configuration.'),
      model_id: z.string().nullable(),
      state: z.string().describe('E.g. `ready`, `starting`, `stopped`.'),
      device: z.string().describe('E.g. `cuda:0`, `cuda:0,1`, `cpu`, `remote`.'),
      engine: z.string().describe('Its kind, e.g. `llama.cpp`.'),
      stage: z.string().optional().describe("The engine's word for what it does while it loads."),
      percent: z.number().optional(),
      on_demand: z.boolean().describe('Whether a request loads it.'),
      unloaded: z.boolean().describe('Whether it was unloaded by hand.'),
    }),
  ),
});

const EXAMPLE = {
  status: 'cuda: model loaded on GPU',
  engines: [
    {
      model: 'chat',
      model_id: 'Qwen/Qwen3-8B',
      state: 'ready',
      device: 'cuda:0',
      engine: 'vllm',
      on_demand: false,
      unloaded: false,
    },
  ],
};

/** `GET /status`. */
export const engineStatusEndpoint: Endpoint<EngineStatusContext> = {
  method: 'GET',
  path: '/status',
  access: 'caller',
  tag: 'Models at run time',
  summary: 'Whether a model is loaded',
  description: 'One of three texts that clients compare with, and the engines of the models that the caller may use.',
  answers: {
    200: {
      description: 'How the engines are.',
      json: { name: 'EngineStatus', schema: answerSchema, example: EXAMPLE },
    },
  },
  handler: engineStatusRoute,
};

/** Not from memory, so that it shows a load that has just ended. */
function engineStatusRoute(
  context: EngineStatusContext,
): (request: FastifyRequest, reply: FastifyReply) => Promise<string> {
  return async (request, reply) => {
    const timeoutMs = CALL_TIMEOUT_MS;
    const [{ models }, { nodes }, limits] = await Promise.all([
      context.router.listModels({}, requestOptions(request, context.clientIp, { timeoutMs })),
      context.registry.listNodes({}, { timeoutMs }),
      context.limitBook.of(request),
    ]);
    const visible = new Set(models.map(({ id }) => id));
    const engines = nodes
      .flatMap((node) => node.engines)
      .filter((engine) => visible.has(engine.modelId || engine.name));
    reply.headers(rateLimitHeaders(limits)).type(JSON_TYPE).header('cache-control', 'no-store');
    return JSON.stringify({ status: summaryOf(engines), engines: engines.map(engineBody) });
  };
}

/** One of the three texts that clients know. Any other GPU, and a server elsewhere, counts as the first. */
function summaryOf(engines: readonly Engine[]): string {
  const ready = engines.filter(({ state }) => state === EngineState.READY);
  if (ready.length === 0) return 'no model loaded';
  const isOnCpu = ready.every(({ deviceKind }) => deviceKind === 'cpu');
  return isOnCpu ? 'cpu: model loaded on CPU' : 'cuda: model loaded on GPU';
}

function engineBody(engine: Engine): object {
  return {
    model: engine.name,
    model_id: engine.modelId || null,
    state: stateOf(engine),
    device: deviceOf(engine),
    engine: engine.kind,
    ...progressOf(engine),
    on_demand: engine.onDemand,
    unloaded: engine.unloaded,
  };
}

import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type HandlerContext,
  type ServiceImpl,
} from '@connectrpc/connect';
import { pino } from 'pino';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { PrincipalSchema } from '../../gen/mesh/auth/v1/principal_pb.ts';
import type { GenerateRequest } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { type GenerationEvent, GenerationEventSchema } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { LimitScope, type LimitStateSchema, LimitUnit, LimitWindow } from '../../gen/mesh/quota/v1/limit_pb.ts';
import { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { type ListNodesResponseSchema, RegistryService } from '../../gen/mesh/router/v1/registry_service_pb.ts';
import { type ModelSchema, RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { TasksService } from '../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { toConnectError } from '../shared/errors/connect-error.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { createMeshClient } from '../shared/transport/client.ts';
import type { Generate, GenerationCall, GenerationSink } from '../shared/transport/generate.ts';
import { type FacadeConfig, facadeConfigSchema } from './config.ts';
import { createFacadeContext, type FacadeResources } from './context.ts';

/** The only credential that the scripted mesh knows. */
export const KEY = 'sk-known';

/** Longer than a test that does other work: a client must not meet a connection that is just being closed. */
const IDLE_MS = 120_000;

type EventInit = NonNullable<MessageInitShape<typeof GenerationEventSchema>['event']>;

/** Builds an event of a generation. */
export function event<C extends EventInit['case']>(
  name: C,
  value: Extract<EventInit, { case: C }> extends { value: infer V } ? V : never,
): GenerationEvent {
  return create(GenerationEventSchema, { event: { case: name, value } as EventInit });
}

/** The limits that every caller of the scripted mesh has. */
export const LIMITS: MessageInitShape<typeof LimitStateSchema>[] = [
  {
    limit: {
      id: 'tier:standard:requests:minute',
      scope: LimitScope.TIER,
      unit: LimitUnit.REQUESTS,
      window: LimitWindow.MINUTE,
      maximum: 30n,
    },
    remaining: 29n,
    resetAfter: { seconds: 60n, nanos: 0 },
  },
];

/** One generation as the scripted router sees it. */
export interface Generation {
  readonly request: GenerateRequest;
  readonly call: GenerationCall;
  readonly sink: GenerationSink;
  /** The error with which it was aborted. */
  abortedWith: MeshError | undefined;
}

/** What a test may change. */
export interface TestOptions {
  /** Plays the router; default: a short answer. */
  readonly script?: (generation: Generation) => void;
  readonly config?: Partial<FacadeConfig>;
  readonly resources?: Partial<FacadeResources>;
  readonly fleet?: MessageInitShape<typeof ListNodesResponseSchema>;
  readonly models?: MessageInitShape<typeof ModelSchema>[];
  /** Plays the nodes' InferenceService. */
  readonly inference?: Partial<ServiceImpl<typeof InferenceService>>;
  /** Plays RouterService.Embed. */
  readonly embed?: ServiceImpl<typeof RouterService>['embed'];
  /** Plays AuthService. */
  readonly auth?: Partial<ServiceImpl<typeof AuthService>>;
  /** Plays TasksService. */
  readonly tasks?: Partial<ServiceImpl<typeof TasksService>>;
  readonly protocol?: 'http1' | 'h2c';
  /** Headers that the listener sets before the facade answers; over HTTP/1.1. */
  readonly listenerHeaders?: () => Readonly<Record<string, string>>;
}

/** A facade behind a real server. */
export interface TestFacade {
  readonly url: string;
  readonly port: number;
  /** How many connections are open. */
  readonly connections: number;
  /** Every generation so far. */
  readonly generations: Generation[];
  /** A request with the known key. */
  call(path: string, init?: RequestInit): Promise<Response>;
  /** POST of a JSON body with the known key. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
  close(): Promise<void>;
}

/** A body that is fine. */
export const CHAT = { model: 'tiny', messages: [{ role: 'user', content: 'hi' }] };

/** Tells an answer of two deltas. */
export function shortAnswer({ sink, call }: Generation): void {
  sink.event(event('started', { requestId: call.requestId, model: 'tiny', limits: LIMITS }));
  sink.event(event('delta', { text: 'Hel', completionTokens: 1 }));
  sink.event(event('delta', { text: 'lo', completionTokens: 2 }));
  sink.event(event('finished', { reason: 1 }));
  sink.event(event('usage', { promptTokens: 7, completionTokens: 2 }));
  sink.end();
}

/** Starts a facade whose router is a script. */
export async function startFacade(options: TestOptions = {}): Promise<TestFacade> {
  const generations: Generation[] = [];
  const generate: Generate = (request, call, sink) => {
    const generation: Generation = { request, call, sink, abortedWith: undefined };
    generations.push(generation);
    if (call.credential !== KEY) {
      sink.fail(new MeshError('CREDENTIAL_INVALID', 'Invalid API key'));
      return;
    }
    call.signal.addEventListener('abort', () => {
      generation.abortedWith = call.signal.reason;
      sink.fail(call.signal.reason);
    });
    (options.script ?? shortAnswer)(generation);
  };
  const facade = await createFacadeContext(facadeConfigSchema.parse(options.config ?? {}), {
    generate,
    ...scriptedClients(options),
    authenticate: async (credential) => {
      if (credential !== KEY) throw new MeshError('CREDENTIAL_INVALID', 'Invalid API key');
      return create(PrincipalSchema, { keyId: 'test', userId: 'ann' });
    },
    readMetrics: async () => 'up 1\n',
    health: async () => ({ storeKind: 'sqlite', storeAnswers: true }),
    isLeaving: () => false,
    isDraining: () => false,
    awaitsWorkers: () => false,
    trustedProxies: [],
    version: '1.2.3',
    now: Date.now,
    log: pino({ level: 'silent' }),
    ...options.resources,
  });
  const server =
    options.protocol === 'h2c'
      ? http2.createServer(facade.handle)
      : http.createServer({ keepAlive: true, keepAliveTimeout: IDLE_MS }, (request, response) => {
          for (const header of Object.entries(options.listenerHeaders?.() ?? {})) response.setHeader(...header);
          facade.handle(request, response);
        });
  let connections = 0;
  server.on('connection', (socket) => {
    connections += 1;
    socket.on('close', () => {
      connections -= 1;
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const call = (path: string, init: RequestInit = {}) =>
    fetch(url + path, { ...init, headers: { authorization: `Bearer ${KEY}`, ...init.headers } });
  return {
    url,
    port,
    get connections() {
      return connections;
    },
    generations,
    call,
    post: (path, body, headers = {}) =>
      call(path, {
        method: 'POST',
        body: typeof body === 'string' ? body : JSON.stringify(body),
        headers: { 'content-type': 'application/json', ...headers },
      }),
    close: async () => {
      await facade.close();
      if ('closeAllConnections' in server) server.closeAllConnections();
      server.close();
    },
  };
}

function scriptedClients({ fleet, models, inference, auth, tasks, embed }: TestOptions) {
  // A call without a credential is the facade's own.
  const known = ({ requestHeader }: HandlerContext): void => {
    if ((requestHeader.get('authorization') ?? `Bearer ${KEY}`) !== `Bearer ${KEY}`) {
      throw toConnectError(new MeshError('CREDENTIAL_INVALID', 'Invalid API key'));
    }
  };
  const transport = createRouterTransport(({ service }) => {
    service(RouterService, {
      listModels: (_request, context) => {
        known(context);
        return { models: models ?? [{ id: 'org/tiny-1', names: ['tiny'], contextTokens: 2048 }] };
      },
      ...(embed ? { embed } : {}),
    });
    service(QuotaService, {
      getLimits: (_request, context) => {
        known(context);
        return { limits: LIMITS };
      },
    });
    service(RegistryService, {
      listNodes: () => {
        if (!fleet) throw new ConnectError('no registry', Code.Unavailable);
        return fleet;
      },
    });
  });
  return {
    inference: createMeshClient(
      InferenceService,
      createRouterTransport(({ service }) => service(InferenceService, inference ?? {})),
    ),
    auth: createMeshClient(
      AuthService,
      createRouterTransport(({ service }) => service(AuthService, auth ?? {})),
    ),
    tasks: createMeshClient(
      TasksService,
      createRouterTransport(({ service }) => service(TasksService, tasks ?? {})),
    ),
    router: createClient(RouterService, transport),
    quota: createClient(QuotaService, transport),
    registry: createClient(RegistryService, transport),
  };
}

/** Waits until a condition holds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within 30 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The JSON events of an event stream, without `[DONE]` and comments. */
export function jsonEvents(text: string): unknown[] {
  return text
    .split('\n\n')
    .filter((frame) => frame.startsWith('data: {'))
    .map((frame) => JSON.parse(frame.slice(6)));
}

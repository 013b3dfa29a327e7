import { create } from '@bufbuild/protobuf';
import type { HandlerContext } from '@connectrpc/connect';
import { pino } from 'pino';
import { CredentialKind, PrincipalSchema, Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { type GenerationEvent, GenerationEventSchema } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { MeshError } from '../errors/mesh-error.ts';
import { createHealth, type HealthState } from '../grpc/health.ts';
import type { Access } from '../interceptors/access.ts';
import { type Authorizer, createAuthorizer } from '../interceptors/authorize.ts';
import type { Generate, GenerationCall } from './generate.ts';
import { generateHandler } from './generate-handler.ts';
import { type Listener, type ListenerOptions, startListener } from './listener.ts';
import type { Routes } from './routes.ts';
import { attachHandler } from './trunk/trunk-handler.ts';

export const KEY = 'good-key';
export const BEARER = { authorization: `Bearer ${KEY}` };
export const MESH_TOKEN = 'mesh-secret';
export const silent = pino({ level: 'silent' });

const TABLE: ReadonlyMap<string, Access> = new Map<string, Access>([
  ['mesh.router.v1.RouterService/Generate', { kind: 'scope', scope: Scope.GENERATE }],
  ['mesh.router.v1.RouterService/Attach', { kind: 'peer', peers: ['facade'] }],
  ['mesh.router.v1.RouterService/Embed', { kind: 'peer', peers: ['router'] }],
  ['mesh.router.v1.RouterService/Tokenize', { kind: 'scope', scope: Scope.GENERATE }],
  ['mesh.router.v1.RouterService/ListModels', { kind: 'open' }],
  ['mesh.router.v1.RouterService/ExplainRoute', { kind: 'scope', scope: Scope.MODELS_READ }],
]);

/** Knows the caller of BEARER, and peers by the token; with `{}` by certificates alone. */
export function testAuthorizer({ meshToken }: { meshToken?: string } = { meshToken: MESH_TOKEN }): Authorizer {
  return createAuthorizer({
    table: TABLE,
    meshToken,
    authenticate: async (credential) => {
      if (credential !== KEY) throw new MeshError('CREDENTIAL_INVALID', 'Invalid API key');
      return create(PrincipalSchema, { keyId: 'k1', kind: CredentialKind.API_KEY, scopes: [Scope.GENERATE] });
    },
  });
}

export function delta(text: string): GenerationEvent {
  return create(GenerationEventSchema, { event: { case: 'delta', value: { text } } });
}

const USAGE = create(GenerationEventSchema, { event: { case: 'usage', value: { completionTokens: 2 } } });

/** What a test sees of the generations that it started. */
export interface Seen {
  readonly calls: GenerationCall[];
  readonly contexts: HandlerContext[];
  /** Events given to sinks. */
  events: number;
}

/**
 * A model that answers by what it is asked: "two" → two tokens; "wait" → one, then nothing; "fail" → a failure; "flood" → big
 * events for ever, as fast as its reader allows.
 */
export function testModel(seen: Seen): Generate {
  return (request, call, sink) => {
    seen.calls.push(call);
    const text = request.prompt?.input.case === 'text' ? request.prompt.input.value : '';
    call.signal.addEventListener('abort', () => sink.fail(call.signal.reason as MeshError), { once: true });
    const send = (event: GenerationEvent) => {
      seen.events += 1;
      sink.event(event);
    };
    if (text === 'fail')
      return sink.fail(new MeshError('MODEL_NOT_FOUND', 'No such model.', { metadata: { model: 'x' } }));
    if (text === 'flood') return flood(call, send);
    send(delta('one'));
    if (text === 'wait') return;
    send(delta('two'));
    send(USAGE);
    sink.end();
  };
}

function flood(call: GenerationCall, send: (event: GenerationEvent) => void): void {
  // Random, so that no compression makes it small.
  const event = delta(Buffer.from(crypto.getRandomValues(new Uint8Array(8_192))).toString('base64'));
  const pump = () => {
    if (call.signal.aborted) return;
    if (!call.flow.paused) send(event);
    setImmediate(pump);
  };
  pump();
}

export function testRoutes(seen: Seen): Routes {
  const model = testModel(seen);
  const generate = generateHandler(model);
  return (router) =>
    router.service(RouterService, {
      generate(request, context) {
        seen.contexts.push(context);
        return generate(request, context);
      },
      attach: attachHandler({ generate: model }),
      listModels: () => ({ models: [{ id: 'm' }] }),
      async tokenize(request, context) {
        seen.contexts.push(context);
        if (request.model === 'broken') throw new Error('the password is hunter2');
        if (request.model === 'hang') await new Promise(() => {});
        return { tokenIds: [1, 2], contextTokens: 8 };
      },
    });
}

/** A listener on a free port with the test service. */
export async function startTestListener(
  options: Partial<ListenerOptions> = {},
): Promise<{ listener: Listener; seen: Seen; health: HealthState }> {
  const seen: Seen = { calls: [], contexts: [], events: 0 };
  const health = createHealth();
  const listener = await startListener({
    host: '127.0.0.1',
    port: 0,
    routes: [testRoutes(seen)],
    authorizer: testAuthorizer(),
    health,
    log: silent,
    ...options,
  });
  return { listener, seen, health };
}

/** Polls until the condition holds. */
export async function eventually(
  holds: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 30_000,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

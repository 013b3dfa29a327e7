import type { DescMethod } from '@bufbuild/protobuf';
import Fastify, { type FastifyContextConfig } from 'fastify';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { TasksService } from '../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { authorizationTable } from '../../services/auth/authorization-table.ts';
import { type FacadeRouteContext, facadeRoutes } from '../../services/facade/routes.ts';
import { methodName } from '../../services/shared/interceptors/access.ts';
import { MODEL } from './cast.ts';

/** A route as the facade registers it. */
export interface Route {
  readonly method: string;
  /** May end with `*`. */
  readonly url: string;
  readonly access: NonNullable<FastifyContextConfig['access']>;
  /** Whether it takes `?api_key=`. */
  readonly keyInUrl: boolean;
}

/** What lies behind a route: the methods that decide, and a request that does no harm when it is let through. */
export interface RouteUse {
  readonly decidedBy: readonly DescMethod[];
  readonly path?: string;
  readonly body?: object;
}

const { embed, generate, listModels } = RouterService.method;
const { getLimits } = QuotaService.method;
const { cancel, get, watch } = TasksService.method;

/** One entry per route; a route without one fails the test. */
export const USES: Readonly<Record<string, RouteUse>> = {
  'POST /v1/chat/completions': {
    decidedBy: [generate],
    body: { model: MODEL, messages: [{ role: 'user', content: 'hi' }], max_tokens: 2 },
  },
  'POST /v1/completions': { decidedBy: [generate], body: { model: MODEL, prompt: 'hi', max_tokens: 2 } },
  'POST /v1/responses': { decidedBy: [generate], body: { model: MODEL, input: 'hi', max_output_tokens: 2 } },
  'POST /v1/messages': {
    decidedBy: [generate],
    body: { model: MODEL, messages: [{ role: 'user', content: 'hi' }], max_tokens: 2 },
  },
  'POST /v1/embeddings': { decidedBy: [embed], body: { model: MODEL, input: 'hi' } },
  'POST /chat': { decidedBy: [generate], body: { message: 'hi', max_tokens: 2 } },
  'POST /text2sql': {
    decidedBy: [generate],
    body: { model: MODEL, messages: [{ role: 'user', content: 'hi' }], max_tokens: 2 },
  },
  'POST /generate': {
    decidedBy: [generate],
    body: { model_name: MODEL, prompt: 'hi', parameters: { max_new_tokens: 2 } },
  },
  'GET /status/:task_id': { decidedBy: [get, getLimits], path: '/status/nothing' },
  'GET /result/:task_id': { decidedBy: [get, getLimits], path: '/result/nothing' },
  'GET /stream/:task_id': { decidedBy: [watch, getLimits], path: '/stream/nothing' },
  'DELETE /tasks/:task_id': { decidedBy: [cancel, getLimits], path: '/tasks/nothing' },
  'GET /v1/models': { decidedBy: [listModels, getLimits] },
  'GET /v1/models/*': { decidedBy: [listModels, getLimits], path: '/v1/models/nobody/knows' },
  'GET /status': { decidedBy: [listModels, getLimits] },
  'POST /generate_apikey': { decidedBy: [AuthService.method.generateApiKey], body: { username: 'somebody' } },
  'POST /load_model': { decidedBy: [InferenceService.method.loadModel], body: { model_name: MODEL } },
  'POST /unload_model': { decidedBy: [InferenceService.method.unloadModel], body: { model_name: 'nobody/knows' } },
  'POST /auth/login': { decidedBy: [AuthService.method.login], body: { username: 'nobody' } },
  'GET /.well-known/jwks.json': { decidedBy: [AuthService.method.getJwks] },
  'GET /': { decidedBy: [] },
  'GET /health': { decidedBy: [] },
  'GET /healthz': { decidedBy: [] },
  'GET /readyz': { decidedBy: [] },
  'GET /metrics': { decidedBy: [] },
  'GET /api-info': { decidedBy: [] },
  'GET /openapi.json': { decidedBy: [] },
  'GET /docs': { decidedBy: [] },
  'GET /redoc': { decidedBy: [] },
  'GET /docs/assets/:name': { decidedBy: [], path: '/docs/assets/page.css' },
};

/** Methods whose handler decides, because the body takes part: what it asks of whoever calls as the matrix does. */
const DECIDED_LATER: ReadonlyMap<string, Scope> = new Map([
  [methodName(generate), Scope.GENERATE],
  [methodName(AuthService.method.generateApiKey), Scope.ADMIN],
]);

/** The scopes that a method asks for in the end. */
export function scopesAsked(method: DescMethod): Scope[] {
  const later = DECIDED_LATER.get(methodName(method));
  if (later !== undefined) return [later];
  const access = authorizationTable.get(methodName(method));
  return access?.kind === 'scope' ? [access.scope] : [];
}

/** Whether what lies behind a route looks at the models that a caller may use, and refuses others. */
export function asksForModel({ decidedBy }: RouteUse): boolean {
  return decidedBy.includes(generate) || decidedBy.includes(embed);
}

/** Every route that the facade registers, HEAD included. */
export function everyRoute(): Route[] {
  const routes: Route[] = [];
  const app = Fastify();
  app.addHook('onRoute', ({ method, url, config }) => {
    const { access, keyInUrl = false } = (config ?? {}) as Partial<FastifyContextConfig>;
    if (!access) throw new Error(`${method} ${url} does not say who may call it`);
    for (const one of [method].flat()) routes.push({ method: one, url, access, keyInUrl });
  });
  // Handlers are made of it, and none is called.
  const context = new Proxy({}, { get: () => () => undefined });
  facadeRoutes(app, context as FacadeRouteContext);
  return routes;
}

import type { FastifyInstance } from 'fastify';
import { type JwksRouteContext, jwksRoute } from './auth/jwks.ts';
import { type LoginRouteContext, loginRoute } from './auth/login.ts';
import { type GenerateRouteContext, generateRoute } from './compat/generate.ts';
import { type GenerateApiKeyContext, generateApiKeyRoute } from './compat/generate-api-key.ts';
import { type LoadRouteContext, loadModelRoute } from './compat/load-model.ts';
import { type EngineStatusContext, engineStatusRoute } from './compat/status.ts';
import { type UnloadRouteContext, unloadModelRoute } from './compat/unload-model.ts';
import {
  chatDialect,
  completionDialect,
  type GenerationRouteContext,
  generationRoute,
} from './openai/generation-route.ts';
import { getModelRoute, listModelsRoute, type ModelRouteContext } from './openai/models.ts';
import {
  healthRoute,
  indexRoute,
  livenessRoute,
  readinessRoute,
  type StatusRouteContext,
} from './status/status-routes.ts';

/** What the routes of the facade need. */
export type FacadeRouteContext = GenerationRouteContext &
  ModelRouteContext &
  StatusRouteContext &
  GenerateRouteContext &
  LoadRouteContext &
  UnloadRouteContext &
  GenerateApiKeyContext &
  LoginRouteContext &
  JwksRouteContext &
  EngineStatusContext;

const open = { config: { access: 'open' } } as const;
const caller = { config: { access: 'caller' } } as const;
const knownOrAnonymous = { config: { access: 'known-or-anonymous' } } as const;
const work = { config: { access: 'caller', startsWork: true } } as const;

/** Adds every route to the application. */
export function facadeRoutes(app: FastifyInstance, context: FacadeRouteContext): void {
  const endpoints: string[] = [];
  app.addHook('onRoute', ({ method, url }) => {
    if (method !== 'HEAD') endpoints.push(`${method} ${url.replace('*', '{id}')}`);
  });

  app.post('/v1/chat/completions', work, generationRoute(chatDialect, context));
  app.post('/v1/completions', work, generationRoute(completionDialect, context));
  app.get('/v1/models', caller, listModelsRoute(context));
  app.get('/v1/models/*', caller, getModelRoute(context));

  app.post('/generate', work, generateRoute(context));
  app.post('/generate_apikey', knownOrAnonymous, generateApiKeyRoute(context));
  app.post('/load_model', work, loadModelRoute(context));
  app.post('/unload_model', caller, unloadModelRoute(context));
  app.get('/status', caller, engineStatusRoute(context));

  app.post('/auth/login', open, loginRoute(context));
  app.get('/.well-known/jwks.json', open, jwksRoute(context));

  app.get(
    '/',
    open,
    indexRoute(context.version, () => endpoints),
  );
  app.get('/health', open, healthRoute(context));
  app.get('/healthz', open, livenessRoute);
  app.get('/readyz', open, readinessRoute(context));
}

import type { FastifyInstance } from 'fastify';
import { messagesEndpoint } from './anthropic/messages-endpoint.ts';
import { type JwksRouteContext, jwksEndpoint } from './auth/jwks.ts';
import { type LoginRouteContext, loginEndpoint } from './auth/login.ts';
import { type GenerateRouteContext, generateEndpoint } from './compat/generate.ts';
import { type GenerateApiKeyContext, generateApiKeyEndpoint } from './compat/generate-api-key.ts';
import { type LoadRouteContext, loadModelEndpoint } from './compat/load-model.ts';
import { type PlainChatContext, plainChatEndpoint } from './compat/plain-chat.ts';
import { type EngineStatusContext, engineStatusEndpoint } from './compat/status.ts';
import { textToSqlEndpoint } from './compat/text2sql.ts';
import { type UnloadRouteContext, unloadModelEndpoint } from './compat/unload-model.ts';
import { apiInfoEndpoint } from './docs/api-info.ts';
import { assetEndpoint } from './docs/assets.ts';
import { indexEndpoint } from './docs/index-endpoint.ts';
import { type DocumentationContext, openApiEndpoint } from './docs/openapi-endpoint.ts';
import { redocEndpoint, swaggerEndpoint } from './docs/pages.ts';
import { type Endpoint, registerEndpoint } from './http/endpoint.ts';
import { chatEndpoint } from './openai/chat-endpoint.ts';
import { completionEndpoint } from './openai/completion-endpoint.ts';
import { type EmbeddingsRouteContext, embeddingsEndpoint } from './openai/embeddings.ts';
import type { GenerationRouteContext } from './openai/generation-route.ts';
import { getModelEndpoint, listModelsEndpoint, type ModelRouteContext } from './openai/models.ts';
import { responsesEndpoint } from './responses/responses-endpoint.ts';
import { type MetricsRouteContext, metricsEndpoint } from './status/metrics-endpoint.ts';
import {
  healthEndpoint,
  livenessEndpoint,
  readinessEndpoint,
  type StatusRouteContext,
} from './status/status-routes.ts';
import { cancelTaskEndpoint, taskResultEndpoint, taskStatusEndpoint } from './tasks/task-status.ts';
import { taskStreamEndpoint } from './tasks/task-stream.ts';

/** What the routes of the facade need. */
export type FacadeRouteContext = GenerationRouteContext &
  EmbeddingsRouteContext &
  ModelRouteContext &
  StatusRouteContext &
  GenerateRouteContext &
  PlainChatContext &
  LoadRouteContext &
  UnloadRouteContext &
  GenerateApiKeyContext &
  LoginRouteContext &
  JwksRouteContext &
  EngineStatusContext &
  MetricsRouteContext;

/** Every route of the facade, in the order of the documentation. */
export const ENDPOINTS: readonly Endpoint<FacadeRouteContext & DocumentationContext>[] = [
  chatEndpoint,
  completionEndpoint,
  embeddingsEndpoint,
  responsesEndpoint,
  listModelsEndpoint,
  getModelEndpoint,
  messagesEndpoint,
  plainChatEndpoint,
  textToSqlEndpoint,
  generateEndpoint,
  taskStatusEndpoint,
  taskResultEndpoint,
  taskStreamEndpoint,
  cancelTaskEndpoint,
  loadModelEndpoint,
  unloadModelEndpoint,
  engineStatusEndpoint,
  generateApiKeyEndpoint,
  loginEndpoint,
  jwksEndpoint,
  healthEndpoint,
  livenessEndpoint,
  readinessEndpoint,
  metricsEndpoint,
  indexEndpoint,
  apiInfoEndpoint,
  openApiEndpoint,
  swaggerEndpoint,
  redocEndpoint,
  assetEndpoint,
];

/** Adds every route to the application. */
export function facadeRoutes(app: FastifyInstance, context: FacadeRouteContext): void {
  const complete = { ...context, endpoints: ENDPOINTS };
  for (const endpoint of ENDPOINTS) registerEndpoint(app, endpoint, complete);
}

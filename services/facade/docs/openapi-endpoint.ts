import { z } from 'zod';
import type { Endpoint, EndpointDescription } from '../http/endpoint.ts';
import { JSON_TYPE } from '../http/json-type.ts';
import { openApiDocument } from './openapi.ts';
import { keptContent, sendContent, staticContent } from './static-content.ts';

/** What the documentation is made from. */
export interface DocumentationContext {
  readonly version: string;
  /** All endpoints, those of the documentation included. */
  readonly endpoints: readonly EndpointDescription[];
}

const schema = z.looseObject({ openapi: z.string(), info: z.looseObject({}), paths: z.looseObject({}) });

/** `GET /openapi.json`. */
export const openApiEndpoint: Endpoint<DocumentationContext> = {
  method: 'GET',
  path: '/openapi.json',
  access: 'open',
  tag: 'Documentation',
  summary: 'This document',
  description: 'OpenAPI 3.1, made from the schemas that requests are checked against.',
  answers: {
    200: {
      description: 'The document.',
      json: { name: 'OpenApiDocument', schema, example: { openapi: '3.1.1', info: {}, paths: {} } },
    },
    304: { description: 'It is the one that `If-None-Match` names.' },
  },
  handler: ({ endpoints, version }) => {
    const content = keptContent(() => staticContent(JSON.stringify(openApiDocument(endpoints, version)), JSON_TYPE));
    return async (request, reply) => sendContent(await content(), request, reply);
  },
};

import type { z } from 'zod';
import type { EndpointDescription, Tag } from '../http/endpoint.ts';
import { errorSchemaOf } from './error-answers.ts';
import { componentSchemas } from './json-schemas.ts';
import { HEADERS, operationOf, SECURITY_SCHEMES } from './operation.ts';

const TAGS: Readonly<Record<Tag, string>> = {
  OpenAI: "OpenAI's API; its SDKs work with the base URL of this server and `/v1`.",
  'Other APIs': 'What other systems called their routes, with the same fields and defaults.',
  Tasks: 'Generations that outlive the connection of whoever asked for them.',
  'Models at run time': 'Loading and unloading models, and which are loaded.',
  'Keys and logins': 'How to come by a credential.',
  Status: 'For monitors and orchestrators.',
  Documentation: 'What is here.',
};

const DESCRIPTION = `One port answers REST and SSE over HTTP/1.1 and HTTP/2, and gRPC, gRPC-Web and Connect; server reflection tells of the latter.

**Credentials**: an API key or an access token as \`Authorization: Bearer …\` or \`X-API-Key: …\`.

**Errors** have \`detail\` and \`error\`, and the statuses 429 and 503 a \`Retry-After\`. Every answer has \`X-Request-Id\`, every answer to a known caller the rate-limit headers.`;

/** An OpenAPI document as JSON would have it. */
export type OpenApiDocument = Readonly<Record<string, unknown>> & {
  readonly paths: Readonly<Record<string, Readonly<Record<string, object>>>>;
};

/** Endpoints → the OpenAPI 3.1 document that tells of them. */
export function openApiDocument(endpoints: readonly EndpointDescription[], version: string): OpenApiDocument {
  const paths: Record<string, Record<string, object>> = {};
  for (const endpoint of endpoints) {
    const path = endpoint.path.replace('{+', '{');
    paths[path] = { ...paths[path], [endpoint.method.toLowerCase()]: operationOf(endpoint) };
  }
  const used = new Set(endpoints.map(({ tag }) => tag));
  return {
    openapi: '3.1.1',
    info: { title: 'Inference mesh', version, description: DESCRIPTION },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }, { apiKey: [] }],
    tags: Object.entries(TAGS)
      .filter(([name]) => used.has(name as Tag))
      .map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: componentSchemas(namedSchemas(endpoints)),
      headers: HEADERS,
      securitySchemes: SECURITY_SCHEMES,
    },
  };
}

/**
 * Every schema that endpoints name.
 *
 * @throws Error when a name stands for two schemas, or a schema has two names.
 */
export function namedSchemas(endpoints: readonly EndpointDescription[]): ReadonlyMap<string, z.ZodType> {
  const byName = new Map<string, z.ZodType>();
  const names = new Map<z.ZodType, string>();
  for (const endpoint of endpoints) {
    const answers = Object.values(endpoint.answers).flatMap(({ json, events }) => [json, events]);
    for (const named of [endpoint.body, ...answers, errorSchemaOf(endpoint)]) {
      if (!named) continue;
      const { name, schema } = named;
      if ((byName.get(name) ?? schema) !== schema) throw new Error(`${name} names two schemas`);
      if ((names.get(schema) ?? name) !== name) throw new Error(`${name} is ${names.get(schema)} by another name`);
      byName.set(name, schema);
      names.set(schema, name);
    }
  }
  return byName;
}

import { z } from 'zod';
import type { Endpoint, EndpointDescription } from '../http/endpoint.ts';
import { JSON_TYPE } from '../http/json-type.ts';
import type { DocumentationContext } from './openapi-endpoint.ts';

const endpointSchema = z.object({
  method: z.string(),
  path: z.string(),
  summary: z.string(),
  tag: z.string(),
  authentication: z
    .enum(['none', 'required', 'optional'])
    .describe('`optional`: whether it is needed depends on the configuration.'),
  scope: z.string().optional().describe('The scope that the key needs.'),
  example: z.string().describe('A call, for a shell with `MESH_URL` and `MESH_API_KEY`.'),
});

const infoSchema = z.object({
  name: z.string(),
  version: z.string(),
  documentation: z.object({ openapi: z.string(), swagger: z.string(), redoc: z.string() }),
  authentication: z.array(
    z.object({ type: z.string(), header: z.string(), value: z.string(), description: z.string() }),
  ),
  rpc: z.object({ protocols: z.array(z.string()), reflection: z.boolean() }),
  endpoints: z.array(endpointSchema),
});

/** `GET /api-info`. */
export const apiInfoEndpoint: Endpoint<DocumentationContext> = {
  method: 'GET',
  path: '/api-info',
  access: 'open',
  tag: 'Documentation',
  summary: 'Endpoints, credentials and example calls, for programs',
  description: 'In brief what `/openapi.json` tells at length.',
  answers: {
    200: {
      description: 'What is here.',
      json: {
        name: 'ApiInfo',
        schema: infoSchema,
        example: {
          name: 'inference-mesh',
          version: '0.1.0',
          documentation: { openapi: '/openapi.json', swagger: '/docs', redoc: '/redoc' },
          authentication: [],
          rpc: { protocols: ['gRPC'], reflection: true },
          endpoints: [
            {
              method: 'GET',
              path: '/health',
              summary: 'What the mesh can serve',
              tag: 'Status',
              authentication: 'none',
              example: 'curl "$MESH_URL/health"',
            },
          ],
        },
      },
    },
  },
  handler: (context) => {
    const info = JSON.stringify(apiInfo(context));
    return (_request, reply) => reply.type(JSON_TYPE).header('cache-control', 'no-cache').send(info);
  },
};

/** Endpoints → the answer. */
function apiInfo({ version, endpoints }: DocumentationContext): z.output<typeof infoSchema> {
  return {
    name: 'inference-mesh',
    version,
    documentation: { openapi: '/openapi.json', swagger: '/docs', redoc: '/redoc' },
    authentication: [
      {
        type: 'bearer',
        header: 'Authorization',
        value: 'Bearer <API key or access token>',
        description: 'An API key, or the access_token of POST /auth/login.',
      },
      { type: 'api_key', header: 'X-API-Key', value: '<API key or access token>', description: 'The same.' },
    ],
    rpc: { protocols: ['gRPC', 'gRPC-Web', 'Connect'], reflection: true },
    endpoints: endpoints.map(endpointInfo),
  };
}

const AUTHENTICATION = { open: 'none', caller: 'required', 'known-or-anonymous': 'optional' } as const;

function endpointInfo(endpoint: EndpointDescription): z.output<typeof endpointSchema> {
  const { method, path, summary, tag, access, scope } = endpoint;
  return {
    method,
    path: path.replace('{+', '{'),
    summary,
    tag,
    authentication: AUTHENTICATION[access],
    ...(scope === undefined ? {} : { scope }),
    example: curlOf(endpoint),
  };
}

/** A call as one types it. A path's members are their first example. */
function curlOf({ method, path, access, params, body }: EndpointDescription): string {
  const filled = path.replace(/\{\+?(\w+)\}/g, (_whole, name: string) => exampleOf(params?.shape[name] as z.ZodType));
  const words = ['curl', ...(method === 'GET' ? [] : ['-X', method]), `"$MESH_URL${filled}"`];
  if (access !== 'open') words.push('-H', '"Authorization: Bearer $MESH_API_KEY"');
  const [example] = Object.values(body?.examples ?? {});
  if (example) words.push('-H', "'Content-Type: application/json'", '-d', quoted(JSON.stringify(example)));
  return words.join(' ');
}

function exampleOf(schema: z.ZodType | undefined): string {
  const [example] = (schema?.meta()?.examples as readonly unknown[] | undefined) ?? [];
  return encodeURIComponent(String(example ?? ''));
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

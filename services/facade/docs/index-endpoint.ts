import { z } from 'zod';
import type { Endpoint } from '../http/endpoint.ts';
import { JSON_TYPE } from '../http/json-type.ts';
import type { DocumentationContext } from './openapi-endpoint.ts';

const schema = z.object({
  name: z.string(),
  version: z.string(),
  docs: z.string(),
  openapi: z.string(),
  health: z.string(),
  endpoints: z.array(z.string()).describe('Method and path of each.'),
});

/** `GET /`. */
export const indexEndpoint: Endpoint<DocumentationContext> = {
  method: 'GET',
  path: '/',
  access: 'open',
  tag: 'Documentation',
  summary: 'Index of the endpoints',
  description: 'Names what is here and where it is documented.',
  answers: {
    200: {
      description: 'The index.',
      json: {
        name: 'Index',
        schema,
        example: {
          name: 'inference-mesh',
          version: '0.1.0',
          docs: '/docs',
          openapi: '/openapi.json',
          health: '/health',
          endpoints: ['POST /v1/chat/completions', 'GET /v1/models'],
        },
      },
    },
  },
  handler: (context) => {
    const index = JSON.stringify(indexOf(context));
    return (_request, reply) => reply.type(JSON_TYPE).header('cache-control', 'no-store').send(index);
  },
};

function indexOf({ version, endpoints }: DocumentationContext): z.output<typeof schema> {
  return {
    name: 'inference-mesh',
    version,
    docs: '/docs',
    openapi: '/openapi.json',
    health: '/health',
    endpoints: endpoints.map(({ method, path }) => `${method} ${path.replace('{+', '{')}`),
  };
}

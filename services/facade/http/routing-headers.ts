import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';

/** Pins a request to one engine, by its name or `<node>/<name>`; for the scope `admin`. */
const ENGINE_HEADER = 'x-mesh-engine';

/** Keeps the requests of a session on one engine. */
const SESSION_HEADER = 'x-session-id';

/** What a value may be: printable ASCII, as long as the contract has it. */
const VALUE = /^[\x20-\x7e]{1,256}$/;

/** For the documentation of every endpoint that reads them. */
export const routingHeaders = z.object({
  [SESSION_HEADER]: z
    .string()
    .regex(VALUE)
    .optional()
    .describe('Requests with the same value go to the same engine, which knows their beginnings.')
    .meta({ examples: ['conversation-7'] }),
  [ENGINE_HEADER]: z
    .string()
    .regex(VALUE)
    .optional()
    .describe('Sends the request to this engine only: `<name>` or `<node>/<name>`. Needs the scope `admin`.'),
});

/**
 * Notes in a request what the headers say about its way.
 *
 * @throws MeshError INVALID_FIELD for a value that is none.
 */
export function withRoutingHeaders(generate: GenerateRequest, { headers }: Pick<FastifyRequest, 'headers'>): void {
  generate.engine = headerValue(headers[ENGINE_HEADER], ENGINE_HEADER);
  generate.session = headerValue(headers[SESSION_HEADER], SESSION_HEADER);
}

/**
 * For work whose engine cannot be named.
 *
 * @throws MeshError INVALID_FIELD.
 */
export function refuseEngineHeader({ headers }: Pick<FastifyRequest, 'headers'>): void {
  if (headerValue(headers[ENGINE_HEADER], ENGINE_HEADER) !== '') {
    throw invalidField(ENGINE_HEADER, 'this route goes to any engine of the model');
  }
}

function headerValue(value: string | string[] | undefined, name: string): string {
  if (value === undefined || value === '') return '';
  // Node joins what is sent repeatedly.
  if (typeof value !== 'string' || !VALUE.test(value)) {
    throw invalidField(name, 'must be 1 to 256 printable ASCII characters');
  }
  return value;
}

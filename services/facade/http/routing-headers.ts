import type { FastifyRequest } from 'fastify';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';

/** Pins a request to one engine, by its name or `<node>/<name>`; for the scope `admin`. */
const ENGINE_HEADER = 'x-mesh-engine';

/** Keeps the requests of a session on one engine. */
const SESSION_HEADER = 'x-session-id';

/** What a value may be: printable ASCII, as long as the contract has it. */
const VALUE = /^[\x20-\x7e]{1,256}$/;

/**
 * Notes in a request what the headers say about its way.
 *
 * @throws MeshError INVALID_FIELD for a value that is none.
 */
export function withRoutingHeaders(generate: GenerateRequest, { headers }: Pick<FastifyRequest, 'headers'>): void {
  generate.engine = headerValue(headers[ENGINE_HEADER], ENGINE_HEADER);
  generate.session = headerValue(headers[SESSION_HEADER], SESSION_HEADER);
}

function headerValue(value: string | string[] | undefined, name: string): string {
  if (value === undefined || value === '') return '';
  // Node joins what is sent repeatedly.
  if (typeof value !== 'string' || !VALUE.test(value)) {
    throw invalidField(name, 'must be 1 to 256 printable ASCII characters');
  }
  return value;
}

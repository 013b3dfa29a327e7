import type { Client } from '@connectrpc/connect';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { AuthService } from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import { CALL_TIMEOUT_MS } from '../http/caller.ts';
import type { Endpoint } from '../http/endpoint.ts';

/** How long others may keep the set, in seconds: less than a key is published before it signs. */
const MAX_AGE_SECONDS = 300;

const JWK_SET_TYPE = 'application/jwk-set+json';

const answerSchema = z.object({
  keys: z.array(z.looseObject({ kty: z.string(), kid: z.string(), alg: z.string() })),
});

/** What the route needs. */
export interface JwksRouteContext {
  readonly auth: Client<typeof AuthService>;
}

/** `GET /.well-known/jwks.json`. */
export const jwksEndpoint: Endpoint<JwksRouteContext> = {
  method: 'GET',
  path: '/.well-known/jwks.json',
  access: 'open',
  tag: 'Keys and logins',
  summary: 'Public keys that verify access tokens',
  description:
    'A JSON Web Key Set. It may be kept for five minutes: a new key is in it before anything is signed with it.',
  answers: {
    200: {
      description: 'The keys.',
      json: {
        name: 'JsonWebKeySet',
        schema: answerSchema,
        example: { keys: [{ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig', kid: 'k1', x: '11qYAYKxCrfVS…' }] },
        type: JWK_SET_TYPE,
      },
    },
  },
  handler: jwksRoute,
};

function jwksRoute({ auth }: JwksRouteContext): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  return async (_request, reply) => {
    const { jwks } = await auth.getJwks({}, { timeoutMs: CALL_TIMEOUT_MS });
    await reply.header('cache-control', `public, max-age=${MAX_AGE_SECONDS}`).type(JWK_SET_TYPE).send(jwks);
  };
}

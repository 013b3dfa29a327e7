import type { Client } from '@connectrpc/connect';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { AuthService } from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import type { AddressedRequest } from '../../shared/interceptors/client-ip.ts';
import { CALL_TIMEOUT_MS, requestOptions } from '../http/caller.ts';
import type { Endpoint } from '../http/endpoint.ts';
import { JSON_TYPE } from '../http/json-type.ts';
import type { LimitBook } from '../http/limit-book.ts';
import { rateLimitHeaders } from '../http/rate-limit-headers.ts';
import { validBody } from '../http/validate.ts';

/** The body of `POST /generate_apikey`. What it does not name is ignored. */
const bodySchema = z.looseObject({
  /** Its length is that of the contract. */
  username: z
    .string()
    .min(1)
    .max(256)
    .describe('Names the user; where registration is open and the caller is no admin, a label for people.'),
});

const answerSchema = z.object({ api_key: z.string() });

/** What the route needs. */
export interface GenerateApiKeyContext {
  /** Decides who may: an admin, or anyone where registration is open. */
  readonly auth: Client<typeof AuthService>;
  readonly limitBook: LimitBook;
  readonly clientIp: (request: AddressedRequest) => string | undefined;
}

/** `POST /generate_apikey`. */
export const generateApiKeyEndpoint: Endpoint<GenerateApiKeyContext> = {
  method: 'POST',
  path: '/generate_apikey',
  access: 'known-or-anonymous',
  scope: 'admin',
  tag: 'Keys and logins',
  summary: 'Make an API key for a user',
  description:
    'The key is of tier `standard` and shown here only. Where `auth.open_registration` is on, nobody needs a key for it.',
  body: { name: 'ApiKeyRequest', schema: bodySchema, examples: { key: { username: 'alice' } } },
  answers: {
    200: {
      description: 'The key.',
      json: { name: 'ApiKey', schema: answerSchema, example: { api_key: 'im_4Zk…' } },
    },
  },
  errors: { 429: 'Too many keys for one address.' },
  handler: generateApiKeyRoute,
};

/** The key is in this answer and nowhere else. */
function generateApiKeyRoute({
  auth,
  limitBook,
  clientIp,
}: GenerateApiKeyContext): (request: FastifyRequest, reply: FastifyReply) => Promise<string> {
  return async (request, reply) => {
    const { username } = validBody(bodySchema, request.body ?? {});
    const options = requestOptions(request, clientIp, { timeoutMs: CALL_TIMEOUT_MS });
    // Before the key is made: a failure here must not lose it.
    if (request.credential) reply.headers(rateLimitHeaders(await limitBook.of(request)));
    const { secret } = await auth.generateApiKey({ username }, options);
    reply.type(JSON_TYPE).header('cache-control', 'no-store');
    return JSON.stringify({ api_key: secret });
  };
}

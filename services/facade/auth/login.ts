import type { Client } from '@connectrpc/connect';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { AuthService } from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import { fromConnectError } from '../../shared/errors/connect-error.ts';
import type { AddressedRequest } from '../../shared/interceptors/client-ip.ts';
import { requestOptions } from '../http/caller.ts';
import type { Endpoint } from '../http/endpoint.ts';
import { HttpError } from '../http/http-error.ts';
import { JSON_TYPE } from '../http/json-type.ts';
import type { LimitBook } from '../http/limit-book.ts';
import { rateLimitHeaders } from '../http/rate-limit-headers.ts';
import { validBody } from '../http/validate.ts';

/** The body of `POST /auth/login`. The contract states how long each may be; what it does not name is ignored. */
const bodySchema = z.looseObject({ username: z.string(), password: z.string() });

const answerSchema = z.object({
  access_token: z.string(),
  token_type: z.literal('bearer'),
  expires_in: z.int().describe('In seconds.'),
});

/** A wrong login takes a second, and a full queue of hashes waits about as long. */
const LOGIN_TIMEOUT_MS = 10_000;

/** What the route needs. */
export interface LoginRouteContext {
  readonly auth: Client<typeof AuthService>;
  readonly limitBook: LimitBook;
  readonly clientIp: (request: AddressedRequest) => string | undefined;
}

/** `POST /auth/login`. */
export const loginEndpoint: Endpoint<LoginRouteContext> = {
  method: 'POST',
  path: '/auth/login',
  access: 'open',
  tag: 'Keys and logins',
  summary: 'Log in with name and password',
  description: 'Answers an access token (a JWT) that is as good as an API key until it expires.',
  body: {
    name: 'LoginRequest',
    schema: bodySchema,
    examples: { login: { username: 'alice', password: 'correct horse battery staple' } },
  },
  answers: {
    200: {
      description: 'The token.',
      json: {
        name: 'AccessToken',
        schema: answerSchema,
        example: { access_token: 'eyJhbGciOi…', token_type: 'bearer', expires_in: 86_400 },
      },
    },
  },
  errors: {
    401: 'Unknown user, wrong password, or tried too often, which are answered alike.',
    503: 'Too many passwords are being checked.',
  },
  handler: loginRoute,
};

/** An unknown user and a wrong password are answered alike. */
function loginRoute({
  auth,
  limitBook,
  clientIp,
}: LoginRouteContext): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  return async (request, reply) => {
    const { username, password } = validBody(bodySchema, request.body ?? {});
    const options = requestOptions(request, clientIp, { timeoutMs: LOGIN_TIMEOUT_MS });
    const { accessToken, expiresIn } = await auth.login({ username, password }, options).catch(rethrow);
    // From here on it is known who calls.
    request.credential = accessToken;
    reply.headers(rateLimitHeaders(await limitBook.of(request)));
    const answer = { access_token: accessToken, token_type: 'bearer', expires_in: Number(expiresIn?.seconds ?? 0n) };
    await reply.header('cache-control', 'no-store').type(JSON_TYPE).send(JSON.stringify(answer));
  };
}

/** Elsewhere a refused credential is a key; here it is not. */
function rethrow(error: unknown): never {
  if (fromConnectError(error).reason !== 'CREDENTIAL_INVALID') throw error;
  throw new HttpError(401, 'invalid_credentials', 'Invalid username or password', {
    headers: { 'www-authenticate': 'Bearer' },
  });
}

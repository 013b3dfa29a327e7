import { cors as connectCors } from '@connectrpc/connect';
import cors from 'cors';
import type { NodeRequest, NodeResponse } from './exchange.ts';

const PER_WINDOW = ['Limit-Minute', 'Remaining-Minute', 'Limit-Hour', 'Remaining-Hour'];
const PER_KIND = ['limit', 'remaining', 'reset'].flatMap((what) => [`${what}-requests`, `${what}-tokens`]);

const EXPOSED_HEADERS = [
  ...connectCors.exposedHeaders,
  'X-Request-Id',
  'Request-Id',
  'X-Mesh-Overhead-Ms',
  'Retry-After',
  'Retry-After-Ms',
  // Without it SDKs in browsers try again what no second attempt helps.
  'X-Should-Retry',
  ...PER_WINDOW.map((name) => `X-RateLimit-${name}`),
  ...PER_KIND.map((name) => `x-ratelimit-${name}`),
];

/** One hour: browsers ask again for every path otherwise. */
const PREFLIGHT_CACHE_SECONDS = 3600;

/**
 * Makes what answers browsers, the same for REST and RPC: it sets the headers of cross-origin requests and answers
 * preflights, which carry no credential, by itself.
 *
 * @param origins allowed ones, `['*']` for all
 * @returns whether the request still needs an answer
 */
export function createCors(origins: readonly string[]): (request: NodeRequest, response: NodeResponse) => boolean {
  const open = origins.includes('*');
  const apply = cors<NodeRequest>({
    origin: open ? '*' : [...origins],
    methods: ['GET', 'HEAD', 'POST', 'DELETE', 'PUT', 'PATCH'],
    // Without allowedHeaders the ones asked for are allowed: SDKs send many of their own, and none of ours is a secret.
    exposedHeaders: EXPOSED_HEADERS,
    maxAge: PREFLIGHT_CACHE_SECONDS,
  });
  return (request, response) => {
    // Without an Origin it is no browser; with a list of origins caches must learn that answers vary.
    if (open && request.headers.origin === undefined) return true;
    if (request.method === 'OPTIONS' && request.headers['access-control-request-method'] === undefined) return true;
    let goOn = false;
    apply(request, response, () => {
      goOn = true;
    });
    return goOn;
  };
}

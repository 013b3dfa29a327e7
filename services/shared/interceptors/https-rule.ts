import { type AddressedRequest, createClientIp, createTrust, LOOPBACK } from './client-ip.ts';

/** Tells whether a request is to be refused because it came over HTTP. */
export type HttpsRule = (request: AddressedRequest) => boolean;

/** What a refusal says. */
export const HTTPS_ONLY = 'This server takes HTTPS only. Send the request to its https:// address.';

/**
 * Makes the rule that callers elsewhere come over HTTPS: over TLS, or through a trusted proxy that says `X-Forwarded-Proto:
 * https`. A caller may have written the first of several values of that header, so all must say so. Whoever the proxy names
 * as the caller counts, so a proxy on loopback does not make everybody local.
 *
 * @param trustedProxies addresses and CIDR ranges besides loopback
 * @throws Error naming an entry that is neither
 */
export function createHttpsRule(trustedProxies: readonly string[]): HttpsRule {
  const clientIp = createClientIp(trustedProxies);
  const isTrusted = createTrust([...LOOPBACK, ...trustedProxies]);
  const isLocal = createTrust(LOOPBACK);
  return (request) => {
    if ('encrypted' in request.socket && request.socket.encrypted) return false;
    if (isLocal(clientIp(request))) return false;
    const header = request.headers['x-forwarded-proto'] ?? '';
    const values = (typeof header === 'string' ? header : header.join(',')).split(',');
    const saysHttps = values.every((value) => value.trim().toLowerCase() === 'https');
    return !saysHttps || !isTrusted(request.socket.remoteAddress);
  };
}

/** The rule that a section `server` asks for; with a certificate it is there unless the section says otherwise. */
export function httpsRuleOf(server: {
  readonly require_https?: boolean | undefined;
  readonly tls?: object | undefined;
  readonly trusted_proxies: readonly string[];
}): HttpsRule | undefined {
  return (server.require_https ?? server.tls !== undefined) ? createHttpsRule(server.trusted_proxies) : undefined;
}

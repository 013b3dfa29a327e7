import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { HeaderLookup } from '../interceptors/credential.ts';

/** Proves a process of the mesh; its value is secret. */
export const MESH_TOKEN_HEADER = 'mesh-token';

/** The real address of the caller that a peer acts for. Believed from peers only. */
export const CLIENT_IP_HEADER = 'mesh-client-ip';

/** Whom a peer acts for, signed; see SignedOnBehalfOf. Refused from anyone else. */
export const ON_BEHALF_OF_HEADER = 'mesh-on-behalf-of-bin';

/** Marks a peer's call as somebody else's: without a credential it is anonymous and never the peer's own. */
export const FORWARDED_HEADER = 'mesh-forwarded';

/** Marks a peer's call as meant for the node at this address alone, where others are answered for all nodes. */
export const TO_NODE_HEADER = 'mesh-to-node';

/** Names a request in logs, traces and towards the engine. */
export const REQUEST_ID_HEADER = 'x-request-id';

const REQUEST_ID = /^[A-Za-z0-9_-]{1,64}$/;

/** The caller's request id where it is well-formed (1–64 of A–Z, a–z, 0–9, "_", "-"), else a new one. */
export function requestIdOf(headers: HeaderLookup): string {
  const given = headers.get(REQUEST_ID_HEADER);
  return given && REQUEST_ID.test(given) ? given : newRequestId();
}

/** A new request id, e.g. "req_0c9f…". */
export function newRequestId(): string {
  return `req_${randomUUID().replaceAll('-', '')}`;
}

/** Looks headers up in what Node parsed; names must be given in lower case. */
export function nodeHeaderLookup(headers: IncomingHttpHeaders): HeaderLookup {
  return {
    get(name) {
      const value = headers[name];
      return Array.isArray(value) ? value.join(', ') : value;
    },
  };
}

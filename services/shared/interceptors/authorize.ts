import { hash, timingSafeEqual } from 'node:crypto';
import type { DescMethod } from '@bufbuild/protobuf';
import type { HandlerContext } from '@connectrpc/connect';
import { type Principal, Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { toConnectError } from '../errors/connect-error.ts';
import { MeshError } from '../errors/mesh-error.ts';
import { exchangeKey } from '../transport/exchange.ts';
import {
  CLIENT_IP_HEADER,
  FORWARDED_HEADER,
  MESH_TOKEN_HEADER,
  ON_BEHALF_OF_HEADER,
} from '../transport/mesh-headers.ts';
import type { Role } from '../transport/roles.ts';
import { type Access, type AuthorizationTable, methodName } from './access.ts';
import { type CertifiedRoles, certifiedRolesKey } from './certified-roles.ts';
import { clientIpKey } from './client-ip.ts';
import { credentialOf, type HeaderLookup, requireNoKeyInUrl } from './credential.ts';
import { acceptOnBehalfOf, type OnBehalfOfOptions } from './on-behalf-of-gate.ts';
import { hasScope, PEER_PRINCIPAL, principalKey } from './principal.ts';

/** Who presents a credential. Rejects with MeshError CREDENTIAL_INVALID. */
export type Authenticate = (credential: string, clientIp: string | undefined) => Promise<Principal>;

/** What an authorizer is made of. */
export interface AuthorizerOptions {
  /** Every method that is served, besides health and reflection, which are open. */
  readonly table: AuthorizationTable;
  readonly authenticate: Authenticate;
  /** How processes of the mesh act for callers. Unset: they do not. */
  readonly onBehalfOf?: OnBehalfOfOptions;
  /** The secret that proves processes of the mesh over the network. Unset: only certificates do. */
  readonly meshToken: string | undefined;
}

/** Decides who may call what. */
export interface Authorizer {
  /**
   * The decision for one call. Resolves to the caller, undefined for an anonymous one where that is allowed.
   *
   * @param certified what the certificate of the connection names; undefined without one
   * @param onKnown told who presents the credential, also where the caller is then for the front door to find out
   * @throws MeshError CREDENTIAL_MISSING, CREDENTIAL_INVALID, CREDENTIAL_CONFLICT, SCOPE_MISSING or PEER_ONLY.
   */
  authorize(
    access: Access,
    headers: HeaderLookup,
    clientIp: string | undefined,
    certified?: CertifiedRoles,
    onKnown?: (caller: Principal) => void,
  ): Promise<Principal | undefined>;
  /**
   * The same for an RPC, before its body is read: decides on the resolved method, denies what is not in the table, leaves
   * the caller under principalKey and, from peers, the address of whom they act for under clientIpKey and whom they vouch for
   * under vouchedKey. Throws ConnectError.
   */
  readonly gate: (context: HandlerContext) => Promise<void>;
  /** Names of those methods that have no entry. A listener does not start with one. */
  withoutEntry(methods: Iterable<DescMethod>): string[];
  /** Whether a call comes from a process of the mesh: by its certificate, or by the mesh token in the headers. */
  isFromPeer(headers: HeaderLookup, certified: CertifiedRoles | undefined): boolean;
}

const OPEN: Access = { kind: 'open' };

const OPEN_SERVICES: ReadonlySet<string> = new Set([
  'grpc.health.v1.Health',
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
]);

/** Whether a service is one that every listener has and anyone may call: health and reflection. */
export function isOpenService(typeName: string): boolean {
  return OPEN_SERVICES.has(typeName);
}

/** Makes the authorizer of a listener and of the calls that stay in the process. */
export function createAuthorizer(options: AuthorizerOptions): Authorizer {
  const hasToken = tokenCheck(options.meshToken);
  const accessOf = (method: DescMethod): Access | undefined =>
    isOpenService(method.parent.typeName) ? OPEN : options.table.get(methodName(method));

  async function authorize(
    access: Access,
    headers: HeaderLookup,
    clientIp: string | undefined,
    certified?: CertifiedRoles,
    onKnown?: (caller: Principal) => void,
  ) {
    const known = async (presented: string): Promise<Principal> => {
      const caller = await options.authenticate(presented, clientIp);
      onKnown?.(caller);
      return caller;
    };
    const credential = access.kind === 'open' ? undefined : credentialOf(headers);
    if (isPeerItself(access, headers, certified)) return PEER_PRINCIPAL;
    switch (access.kind) {
      case 'open':
        return undefined;
      case 'front-door':
        // Nobody unknown gets a body read; what the caller may do is the front door's to decide.
        if (credential === undefined) throw credentialMissing();
        await known(credential);
        return undefined;
      case 'peer':
        throw peerOnly(access.peers, certified);
      case 'scope':
        if (credential === undefined) throw credentialMissing();
        return withScope(await known(credential), access.scope);
    }
  }

  /** A peer with a caller's credential, or without one but for a caller, is not there for itself. */
  function isPeerItself({ peers = [] }: Access, headers: HeaderLookup, certified: CertifiedRoles | undefined): boolean {
    if (headers.get('authorization') || headers.get('x-api-key') || headers.get(FORWARDED_HEADER)) return false;
    return hasToken(headers) || peers.some((role) => certified?.has(role));
  }

  function isFromPeer(headers: HeaderLookup, certified: CertifiedRoles | undefined): boolean {
    return certified !== undefined || hasToken(headers);
  }

  async function gate(context: HandlerContext): Promise<void> {
    try {
      const access = accessOf(context.method);
      if (!access) throw new MeshError('PEER_ONLY', 'This method is not open to callers.');
      if (access.kind !== 'open') requireNoKeyInUrl(context.url);
      const headers = context.requestHeader;
      const certified = context.values.get(certifiedRolesKey);
      if (headers.has(ON_BEHALF_OF_HEADER)) {
        return await acceptOnBehalfOf(context, access, hasToken(headers), options.onBehalfOf);
      }
      const actsFor = headers.get(CLIENT_IP_HEADER);
      if (actsFor && isFromPeer(headers, certified)) context.values.set(clientIpKey, actsFor);
      const { facts } = context.values.get(exchangeKey) ?? {};
      const onKnown = facts && ((caller: Principal) => (facts.principal = caller));
      const principal = await authorize(access, headers, context.values.get(clientIpKey), certified, onKnown);
      if (principal) context.values.set(principalKey, principal);
    } catch (error) {
      throw toConnectError(error);
    }
  }

  return {
    authorize,
    gate,
    isFromPeer,
    withoutEntry: (methods) => [...methods].filter((method) => !accessOf(method)).map(methodName),
  };
}

/** A call that needs a caller and names none. */
export function credentialMissing(): MeshError {
  return new MeshError('CREDENTIAL_MISSING', 'Send an API key as Authorization: Bearer or X-API-Key.');
}

function peerOnly(peers: readonly Role[], certified: CertifiedRoles | undefined): MeshError {
  if (!certified) return new MeshError('PEER_ONLY', 'This method is for processes of the mesh.');
  const named = [...certified].join(', ');
  return new MeshError('PEER_ONLY', `This method is for ${peers.join(', ')}; the certificate names ${named}.`);
}

function withScope(principal: Principal, scope: Scope): Principal {
  if (hasScope(principal, scope)) return principal;
  const name = scopeName(scope);
  throw new MeshError('SCOPE_MISSING', `This needs the scope "${name}".`, { metadata: { scope: name } });
}

/** The name of a scope as callers know it, e.g. "models:manage". */
export function scopeName(scope: Scope): string {
  const entry = Object.entries(Scope).find(([, value]) => value === scope);
  return (entry?.[0] ?? 'UNSPECIFIED').toLowerCase().replace('_', ':');
}

/** Compares digests, so that neither time nor length tells anything about the secret. */
function tokenCheck(secret: string | undefined): (headers: HeaderLookup) => boolean {
  if (!secret) return () => false;
  const expected = hash('sha256', secret, 'buffer');
  return (headers) => {
    const given = headers.get(MESH_TOKEN_HEADER);
    return given ? timingSafeEqual(hash('sha256', given, 'buffer'), expected) : false;
  };
}

import type { DescMethod } from '@bufbuild/protobuf';
import type { Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import type { Role } from '../transport/roles.ts';

/**
 * Who may call a method. A method without an entry stops the start. `peers`: as what a process of the mesh may call it for
 * itself, where a certificate says what it is; unset: as nothing. The mesh token names every role.
 */
export type Access =
  /** Anyone, without a credential. */
  | { readonly kind: 'open'; readonly peers?: readonly Role[] }
  /** Processes of the mesh only. */
  | { readonly kind: 'peer'; readonly peers: readonly Role[] }
  /** Callers with the scope, and processes of the mesh. */
  | { readonly kind: 'scope'; readonly scope: Scope; readonly peers?: readonly Role[] }
  /** Callers with a valid credential; the router's front door decides the rest, for REST and RPC callers alike. */
  | { readonly kind: 'front-door'; readonly peers?: readonly Role[] };

/** Method name (see methodName) → who may call it. */
export type AuthorizationTable = ReadonlyMap<string, Access>;

/** The name of a method in tables and logs, e.g. "mesh.router.v1.RouterService/Generate". */
export function methodName(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}

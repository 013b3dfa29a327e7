import { createContextKey } from '@connectrpc/connect';
import type { Role } from '../transport/roles.ts';

/** The roles that a certificate names. */
export type CertifiedRoles = ReadonlySet<Role>;

/** What the certificate of the caller's connection names; unset in process and on connections without one. */
export const certifiedRolesKey = createContextKey<CertifiedRoles | undefined>(undefined, {
  description: "the roles that the certificate of the caller's connection names",
});

import type { X509Certificate } from 'node:crypto';
import type { CertifiedRoles } from '../interceptors/certified-roles.ts';
import { ROLES, type Role } from './roles.ts';

/** The DNS name that a certificate needs to be believed as a role, e.g. "auth.mesh". */
export function identityName(role: Role, domain: string): string {
  return `${role}.${domain}`;
}

/** Whether one of the certificate's subject alternative names is that of the role. */
export function namesRole(certificate: X509Certificate, role: Role, domain: string): boolean {
  // A common name says nothing, and a wildcard would be every role at once.
  return certificate.checkHost(identityName(role, domain), { subject: 'never', wildcards: false }) !== undefined;
}

/** All roles that a certificate names. */
export function rolesNamed(certificate: X509Certificate, domain: string): CertifiedRoles {
  return new Set(ROLES.filter((role) => namesRole(certificate, role, domain)));
}

import { X509Certificate } from 'node:crypto';
import type { Logger } from 'pino';
import { attempt, type CredentialFiles, openCredentialFiles } from './credential-files.ts';
import { identityName, namesRole } from './mesh-identity.ts';
import type { Role } from './roles.ts';

/** The files of `server.mesh_tls`, all PEM. */
export interface MeshTlsFiles {
  /** The certificate of this process, and those between it and the authority. */
  readonly cert: string;
  readonly key: string;
  /** The authority, or several, that every process's certificate is of. */
  readonly ca: string;
  /** What stands behind the role in the names of certificates. */
  readonly domain: string;
}

/** How this process proves what it is to the others. */
export interface MeshTls extends CredentialFiles<'ca'> {
  readonly domain: string;
}

/** What mutual TLS is made of. */
export interface MeshTlsOptions {
  readonly files: MeshTlsFiles;
  /** What this process is: its certificate must name it all. */
  readonly roles: Iterable<Role>;
  readonly log: Logger;
  /** How often the files are looked at, in milliseconds; default 5,000. */
  readonly lookMs?: number;
}

/**
 * Reads the files, and again whenever they change; what cannot be used then is logged and the old goes on.
 *
 * @throws ConfigError naming the field and what to do
 */
export function openMeshTls({ files: { domain, ...paths }, roles, log, lookMs }: MeshTlsOptions): MeshTls {
  const own = [...roles];
  const files = openCredentialFiles<'ca'>({
    section: 'server.mesh_tls',
    paths,
    check({ ca }, certificate, refuse) {
      attempt(refuse, 'ca', 'is no certificate in PEM', () => new X509Certificate(ca));
      for (const role of own) {
        if (namesRole(certificate, role, domain)) continue;
        const name = identityName(role, domain);
        throw refuse(
          'cert',
          `does not name ${name} among its subject alternative names, and this process runs '${role}'`,
        );
      }
    },
    log,
    lookMs,
  });
  // A getter is not copied by a spread.
  return Object.assign(files, { domain });
}

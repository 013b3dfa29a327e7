import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Logger } from 'pino';
import { ConfigError } from '../lifecycle/config-source.ts';
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

/** What a TLS connection is made with. */
export interface TlsCredentials {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
}

/** How this process proves what it is to the others. */
export interface MeshTls {
  readonly domain: string;
  /** For the next connection; those that are open go on with theirs. */
  readonly credentials: TlsCredentials;
  /** Calls back whenever the credentials have changed. */
  onChange(listener: () => void): void;
  /** No longer looks at the files. */
  close(): void;
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
export function openMeshTls({ files, roles, log, lookMs = 5_000 }: MeshTlsOptions): MeshTls {
  const own = [...roles];
  let seen = read(files);
  let credentials = checked(seen, files, own);
  const listeners: (() => void)[] = [];
  // By what is in them: mounted secrets are links that are exchanged, and events and times of files may be missed.
  const timer = setInterval(look, lookMs).unref();

  function look(): void {
    try {
      const found = read(files);
      if (isEqual(found, seen)) return;
      seen = found;
      credentials = checked(found, files, own);
    } catch (error) {
      // One file may be written before the other.
      log.error({ err: error }, 'the changed files of server.mesh_tls are not used');
      return;
    }
    for (const changed of listeners) changed();
    log.info('the files of server.mesh_tls were read again');
  }

  return {
    domain: files.domain,
    get credentials() {
      return credentials;
    },
    onChange: (listener) => void listeners.push(listener),
    close: () => clearInterval(timer),
  };
}

function read(files: MeshTlsFiles): TlsCredentials {
  const bytesOf = (field: 'cert' | 'key' | 'ca'): Buffer =>
    attempt(field, `${files[field]} cannot be read`, () => readFileSync(files[field]));
  return { cert: bytesOf('cert'), key: bytesOf('key'), ca: bytesOf('ca') };
}

function isEqual(one: TlsCredentials, other: TlsCredentials): boolean {
  return one.cert.equals(other.cert) && one.key.equals(other.key) && one.ca.equals(other.ca);
}

/** The same, once a process of these roles can use them. */
function checked(credentials: TlsCredentials, { domain }: MeshTlsFiles, roles: readonly Role[]): TlsCredentials {
  const { cert, key, ca } = credentials;
  const certificate = attempt('cert', 'is no certificate in PEM', () => new X509Certificate(cert));
  const privateKey = attempt('key', 'is no private key in PEM without a password', () => createPrivateKey(key));
  attempt('ca', 'is no certificate in PEM', () => new X509Certificate(ca));
  if (!certificate.checkPrivateKey(privateKey)) throw refused('key', 'is not the key of the certificate in `cert`');
  const endsAt = certificate.validToDate;
  if (endsAt.getTime() < Date.now()) throw refused('cert', `expired at ${endsAt.toISOString()}: make a new one`);
  for (const role of roles) {
    if (namesRole(certificate, role, domain)) continue;
    const name = identityName(role, domain);
    throw refused('cert', `does not name ${name} among its subject alternative names, and this process runs '${role}'`);
  }
  attempt('cert', 'cannot be used', () => createSecureContext({ cert, key, ca }));
  return credentials;
}

function attempt<T>(field: string, what: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw refused(field, `${what} (${error instanceof Error ? error.message : String(error)})`);
  }
}

function refused(field: string, what: string): ConfigError {
  return new ConfigError(`server.mesh_tls.${field}: ${what}`);
}

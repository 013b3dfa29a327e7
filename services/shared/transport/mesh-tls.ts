import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
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
  let credentials = read(files, own);
  const listeners: (() => void)[] = [];
  const look = (): void => {
    try {
      credentials = read(files, own);
    } catch (error) {
      // One file may be written before the other.
      log.error({ err: error }, 'the changed files of server.mesh_tls are not used');
      return;
    }
    for (const changed of listeners) changed();
    log.info('the files of server.mesh_tls were read again');
  };
  const paths = [files.cert, files.key, files.ca];
  // Looking by name and not by events: mounted secrets are links that are exchanged.
  for (const path of paths) watchFile(path, { interval: lookMs, persistent: false }, look);
  return {
    domain: files.domain,
    get credentials() {
      return credentials;
    },
    onChange: (listener) => void listeners.push(listener),
    close() {
      for (const path of paths) unwatchFile(path, look);
    },
  };
}

function read(files: MeshTlsFiles, roles: readonly Role[]): TlsCredentials {
  const [cert, key, ca] = (['cert', 'key', 'ca'] as const).map((field) =>
    attempt(field, `${files[field]} cannot be read`, () => readFileSync(files[field])),
  ) as [Buffer, Buffer, Buffer];
  const certificate = attempt('cert', 'is no certificate in PEM', () => new X509Certificate(cert));
  const privateKey = attempt('key', 'is no private key in PEM without a password', () => createPrivateKey(key));
  attempt('ca', 'is no certificate in PEM', () => new X509Certificate(ca));
  if (!certificate.checkPrivateKey(privateKey)) throw refused('key', 'is not the key of the certificate in `cert`');
  const endsAt = certificate.validToDate;
  if (endsAt.getTime() < Date.now()) throw refused('cert', `expired at ${endsAt.toISOString()}: make a new one`);
  for (const role of roles) {
    if (namesRole(certificate, role, files.domain)) continue;
    const name = identityName(role, files.domain);
    throw refused('cert', `does not name ${name} among its subject alternative names, and this process runs '${role}'`);
  }
  attempt('cert', 'cannot be used', () => createSecureContext({ cert, key, ca }));
  return { cert, key, ca };
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

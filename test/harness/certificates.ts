import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A certificate with its key. */
export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

/** What a test certificate says. */
export interface CertificateOptions {
  /** DNS names of the subject, written as they are, byte for byte, whatever a certificate may hold. */
  readonly names?: readonly string[];
  readonly commonName?: string;
  /** Default: an hour ago. */
  readonly notBefore?: Date;
  /** Default: in an hour. */
  readonly notAfter?: Date;
}

/** Signs certificates. */
export interface TestAuthority {
  /** Its own certificate. */
  readonly ca: string;
  issue(options: CertificateOptions): TestCertificate;
}

const HOUR_MS = 3_600_000;

/** What keys and signatures are made with. Browsers and Python's gRPC know no Ed25519. */
export type KeyKind = 'ed25519' | 'p256';

/** The names of the signatures: Ed25519, and ecdsa-with-SHA256, whose 840 and 10045 take two bytes each. */
const SIGNATURES: Readonly<Record<KeyKind, Buffer>> = {
  ed25519: sequence(oid(1, 3, 101, 112)),
  p256: sequence(oid(1, 2, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2)),
};

/** Makes an authority that nobody knows. */
export function createAuthority(commonName = 'test authority', kind: KeyKind = 'ed25519'): TestAuthority {
  const keys = keyPair(kind);
  const issue = (options: CertificateOptions, subject: KeyObject, extensions: Buffer[]): string =>
    pem(
      'CERTIFICATE',
      certificate(options, { issuer: commonName, subject, signer: keys.privateKey, kind, extensions }),
    );
  return {
    ca: issue({ commonName }, keys.publicKey, [basicConstraints(true)]),
    issue(options) {
      const own = keyPair(kind);
      const cert = issue(options, own.publicKey, [basicConstraints(false), alternativeNames(options.names ?? [])]);
      return { cert, key: privateKeyOf(own.privateKey) };
    },
  };
}

/** Makes a certificate that vouches for itself. */
export function selfSigned(options: CertificateOptions): TestCertificate {
  const { publicKey: subject, privateKey: signer } = keyPair('ed25519');
  const extensions = [alternativeNames(options.names ?? [])];
  const parts = { issuer: options.commonName ?? 'test', subject, signer, kind: 'ed25519' as const, extensions };
  const der = certificate(options, parts);
  return { cert: pem('CERTIFICATE', der), key: privateKeyOf(signer) };
}

/** Writes the three files of `server.mesh_tls` and returns their paths. */
export function writeMeshTls(
  directory: string,
  name: string,
  { cert, key, ca }: TestCertificate & Pick<TestAuthority, 'ca'>,
): { cert: string; key: string; ca: string } {
  const paths = {
    cert: join(directory, `${name}.crt`),
    key: join(directory, `${name}.key`),
    ca: join(directory, 'ca.crt'),
  };
  writeFileSync(paths.ca, ca);
  writeFileSync(paths.key, key, { mode: 0o600 });
  writeFileSync(paths.cert, cert);
  return paths;
}

interface Parts {
  readonly issuer: string;
  readonly subject: KeyObject;
  readonly signer: KeyObject;
  /** Of the signer. */
  readonly kind: KeyKind;
  readonly extensions: readonly Buffer[];
}

/** RFC 5280, 4.1. */
function certificate({ commonName = 'test', notBefore, notAfter }: CertificateOptions, parts: Parts): Buffer {
  const nowMs = Date.now();
  const signature = SIGNATURES[parts.kind];
  const tbs = sequence(
    tagged(0xa0, tagged(0x02, Buffer.from([2]))),
    tagged(0x02, Buffer.from([1, ...randomBytes(8)])),
    signature,
    distinguishedName(parts.issuer),
    sequence(time(notBefore ?? new Date(nowMs - HOUR_MS)), time(notAfter ?? new Date(nowMs + HOUR_MS))),
    distinguishedName(commonName),
    parts.subject.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...parts.extensions)),
  );
  return sequence(tbs, signature, bitString(sign(parts.kind === 'p256' ? 'sha256' : null, tbs, parts.signer)));
}

function keyPair(kind: KeyKind): { publicKey: KeyObject; privateKey: KeyObject } {
  return kind === 'p256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519');
}

function distinguishedName(commonName: string): Buffer {
  return sequence(tagged(0x31, sequence(oid(2, 5, 4, 3), tagged(0x0c, Buffer.from(commonName)))));
}

function basicConstraints(isAuthority: boolean): Buffer {
  const value = sequence(...(isAuthority ? [tagged(0x01, Buffer.from([0xff]))] : []));
  return sequence(oid(2, 5, 29, 19), tagged(0x01, Buffer.from([0xff])), tagged(0x04, value));
}

function alternativeNames(names: readonly string[]): Buffer {
  const list = names.map((name) => tagged(0x82, Buffer.from(name)));
  return sequence(oid(2, 5, 29, 17), tagged(0x04, sequence(...list)));
}

function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/\.\d+/, '').replace(/[-:T]/g, '');
  return tagged(0x18, Buffer.from(digits));
}

function sequence(...parts: Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

function bitString(bytes: Buffer): Buffer {
  return tagged(0x03, Buffer.concat([Buffer.from([0]), bytes]));
}

function oid(first: number, second: number, ...rest: number[]): Buffer {
  return tagged(0x06, Buffer.from([first * 40 + second, ...rest]));
}

function tagged(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  // Go reads the shortest form of a length only, as DER has it.
  if (length < 0x100) return Buffer.concat([Buffer.from([tag, 0x81, length]), content]);
  return Buffer.concat([Buffer.from([tag, 0x82, length >> 8, length & 0xff]), content]);
}

function privateKeyOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

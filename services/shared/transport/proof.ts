import type { Logger } from 'pino';
import { type MeshTls, type MeshTlsFiles, openMeshTls } from './mesh-tls.ts';
import type { Role } from './roles.ts';

/** What this process proves itself to others with, and they to it: certificates, else the token. */
export interface Proof {
  readonly meshToken: string | undefined;
  readonly meshTls: MeshTls | undefined;
  readonly log: Logger;
}

/** What a proof is made of. */
export interface ProofOptions {
  readonly meshToken: string;
  /** Unset: the token. */
  readonly files: MeshTlsFiles | undefined;
  /** What this process is. */
  readonly roles: Iterable<Role>;
  readonly log: Logger;
}

/**
 * Makes what processes prove themselves with. Beside certificates the token would be a way around them.
 *
 * @throws ConfigError naming the field and what to do
 */
export function createProof({ meshToken, files, roles, log }: ProofOptions): Proof {
  if (!files) return { meshToken, meshTls: undefined, log };
  return { meshToken: undefined, meshTls: openMeshTls({ files, roles, log }), log };
}

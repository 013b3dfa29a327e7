import { MeshError } from '../errors/mesh-error.ts';
import { PortUnavailable } from '../transport/listener.ts';
import { ConfigError } from './config-source.ts';
import { TemporaryError } from './temporary-error.ts';

/** Exit codes of a process of the mesh, as sysexits.h names them. */
export const EXIT = { asked: 0, crash: 1, temporary: 75, configuration: 78 } as const;

/** How a process ends after an error that reached its entry, and what it says on standard error. */
export function exitCodeOf(error: unknown): { code: number; message: string } {
  if (error instanceof ConfigError) return { code: EXIT.configuration, message: error.message };
  if (error instanceof PortUnavailable || error instanceof TemporaryError)
    return { code: EXIT.temporary, message: error.message };
  if (error instanceof MeshError && error.reason === 'STORE_UNAVAILABLE') {
    return { code: EXIT.temporary, message: error.message };
  }
  return { code: EXIT.crash, message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

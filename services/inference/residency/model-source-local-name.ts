import { stat } from 'node:fs/promises';
import { invalidField } from '../../shared/errors/mesh-error.ts';

/**
 * Refuses a name of the hub that is also a path where the mesh runs: engines look there first, and would load whatever lies
 * in it.
 *
 * @throws MeshError INVALID_FIELD `model`.
 */
export async function refuseLocalName(id: string): Promise<void> {
  const found = await stat(id).catch(() => undefined);
  if (!found) return;
  throw invalidField(
    'model',
    'is also a path in the working directory of the mesh, which the engine would take; configure it',
  );
}

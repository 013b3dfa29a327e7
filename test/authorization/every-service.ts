import { globSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { authorizationTable } from '../../services/auth/authorization-table.ts';
import { type Access, methodName } from '../../services/shared/interceptors/access.ts';

const root = resolve(import.meta.dirname, '../..');

/** A method and who may call it. */
export interface Guarded {
  readonly method: DescMethod;
  readonly access: Access;
}

/**
 * Every method of every service that stands in gen/, also of one that nobody has thought of here.
 *
 * @throws Error for a method that the authorization table does not name
 */
export async function everyMethod(): Promise<Guarded[]> {
  const paths = globSync('gen/{mesh,grpc}/**/*_pb.ts', { cwd: root });
  const modules = await Promise.all(paths.map((path) => import(join(root, path)) as Promise<Record<string, unknown>>));
  const services = modules
    .flatMap((module) => Object.values(module))
    .filter((value): value is DescService => (value as { kind?: string } | undefined)?.kind === 'service');
  return services
    .flatMap(({ methods }) => methods)
    .map((method) => {
      const access = authorizationTable.get(methodName(method));
      if (!access) throw new Error(`${methodName(method)} has no entry in the authorization table`);
      return { method, access };
    });
}

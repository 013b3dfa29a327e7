import type { DescMethod } from '@bufbuild/protobuf';
import {
  Code,
  ConnectError,
  createMethodImplSpec,
  createServiceImplSpec,
  type MethodImplSpec,
} from '@connectrpc/connect';
import { methodName } from '../interceptors/access.ts';
import type { Routes } from './routes.ts';

/** The handlers of this process, by method. */
export interface LocalRouter {
  /** Throws ConnectError UNIMPLEMENTED for a method of a service that is not here. */
  find(method: DescMethod): MethodImplSpec;
}

/** Runs the routes against a router that keeps the implementations instead of making HTTP handlers of them. */
export function createLocalRouter(routes: readonly Routes[]): LocalRouter {
  const specs = new Map<string, MethodImplSpec>();
  const add = (spec: MethodImplSpec) => specs.set(methodName(spec.method), spec);
  const router: Parameters<Routes>[0] = {
    handlers: [],
    service(service, implementation) {
      for (const spec of Object.values(createServiceImplSpec(service, implementation).methods)) add(spec);
      return this;
    },
    rpc(method, implementation) {
      add(createMethodImplSpec(method, implementation));
      return this;
    },
  };
  for (const register of routes) register(router);
  return {
    find(method) {
      const spec = specs.get(methodName(method));
      if (!spec) throw new ConnectError(`${methodName(method)} is not served by this process`, Code.Unimplemented);
      return spec;
    },
  };
}

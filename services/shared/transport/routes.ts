import type { DescMethod } from '@bufbuild/protobuf';
import { type ConnectRouter, createServiceImplSpec, type MethodImplSpec } from '@connectrpc/connect';

/** What a service exports: it registers its handlers. */
export type Routes = (router: ConnectRouter) => void;

/** The same routes, less the methods that `isLeftOut` names. Methods of a service without a handler go as well. */
export function withoutMethods(routes: Routes, isLeftOut: (method: DescMethod) => boolean): Routes {
  return (router) => {
    const add = ({ method, impl }: MethodImplSpec): void => {
      // The implementation is of the kind of its method.
      if (!isLeftOut(method)) router.rpc(method as never, impl as never);
    };
    routes({
      handlers: router.handlers,
      service(service, implementation) {
        for (const spec of Object.values(createServiceImplSpec(service, implementation).methods)) add(spec);
        return this;
      },
      rpc(method, implementation) {
        if (!isLeftOut(method)) router.rpc(method as never, implementation as never);
        return this;
      },
    });
  };
}

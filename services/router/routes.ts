import type { ConnectRouter } from '@connectrpc/connect';
import { RegistryService } from '../../gen/mesh/router/v1/registry_service_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { generateHandler } from '../shared/transport/generate-handler.ts';
import type { RouterContext } from './context.ts';
import { listModels } from './handlers/list-models.ts';
import { drainNode, listNodes, register } from './handlers/registry.ts';

/** The services of the router. Methods that are left out answer UNIMPLEMENTED. */
export function routerRoutes(context: RouterContext): (router: ConnectRouter) => void {
  return (router) => {
    router.service(RouterService, {
      generate: generateHandler(context.generate),
      listModels: listModels(context),
    });
    router.service(RegistryService, {
      register: register(context),
      listNodes: listNodes(context),
      drain: drainNode(context),
    });
  };
}

import type { ConnectRouter } from '@connectrpc/connect';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { RegistryService } from '../../gen/mesh/router/v1/registry_service_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import type { Vouching } from '../shared/interceptors/on-behalf-of.ts';
import { generateHandler } from '../shared/transport/generate-handler.ts';
import { attachHandler } from '../shared/transport/trunk/trunk-handler.ts';
import type { RouterContext } from './context.ts';
import { LoadPlaces } from './fleet/load-places.ts';
import { embed } from './handlers/embed.ts';
import { explainRoute } from './handlers/explain-route.ts';
import { explainFleetPlacement, listFleetDevices } from './handlers/fleet-devices.ts';
import { listFleetEngines, watchFleetEngines } from './handlers/fleet-engines.ts';
import { loadFleetModel, tailFleetLogs, unloadFleetModel } from './handlers/fleet-models.ts';
import { listModels } from './handlers/list-models.ts';
import { drainNode, listNodes, register } from './handlers/registry.ts';
import { tokenize } from './handlers/tokenize.ts';

/**
 * The services of the router.
 *
 * @param vouching verifies whom the processes on its trunks act for
 */
export function routerRoutes(
  context: RouterContext,
  vouching: Pick<Vouching, 'verify'>,
): (router: ConnectRouter) => void {
  return (router) => {
    router.service(RouterService, {
      generate: generateHandler(context.generate),
      attach: attachHandler({ generate: context.generate, vouching }),
      embed: embed(context),
      tokenize: tokenize(context),
      listModels: listModels(context),
      explainRoute: explainRoute(context),
    });
    router.service(RegistryService, {
      register: register(context),
      listNodes: listNodes(context),
      drain: drainNode(context),
    });
  };
}

/** The methods of InferenceService that callers may call, for all nodes. The others are those of one node. */
export function fleetRoutes({ fleet }: Pick<RouterContext, 'fleet'>): (router: ConnectRouter) => void {
  const { loadModel, unloadModel, listEngines, watchEngines, listDevices, explainPlacement, tailLogs } =
    InferenceService.method;
  return (router) => {
    router
      .rpc(loadModel, loadFleetModel(fleet, new LoadPlaces(fleet)))
      .rpc(unloadModel, unloadFleetModel(fleet))
      .rpc(listEngines, listFleetEngines(fleet))
      .rpc(watchEngines, watchFleetEngines(fleet))
      .rpc(listDevices, listFleetDevices(fleet))
      .rpc(explainPlacement, explainFleetPlacement(fleet))
      .rpc(tailLogs, tailFleetLogs(fleet));
  };
}

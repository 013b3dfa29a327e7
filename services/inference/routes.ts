import type { ConnectRouter } from '@connectrpc/connect';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { generateHandler } from '../shared/transport/generate-handler.ts';
import { attachHandler } from '../shared/transport/trunk/trunk-handler.ts';
import type { InferenceContext } from './context.ts';
import { embed } from './handlers/embed.ts';
import { explainPlacement } from './handlers/explain-placement.ts';
import { listDevices } from './handlers/list-devices.ts';
import { listEngines } from './handlers/list-engines.ts';
import { loadModel } from './handlers/load-model.ts';
import { tailLogs } from './handlers/tail-logs.ts';
import { tokenize } from './handlers/tokenize.ts';
import { unloadModel } from './handlers/unload-model.ts';
import { watchEngines } from './handlers/watch-engines.ts';

/** The methods of the inference service that this version has; the others answer UNIMPLEMENTED. */
export function inferenceRoutes(context: InferenceContext): (router: ConnectRouter) => void {
  return (router) => {
    router.service(InferenceService, {
      generate: generateHandler(context.generate),
      attach: attachHandler({ generate: context.generate }),
      embed: embed(context),
      tokenize: tokenize(context),
      loadModel: loadModel(context),
      unloadModel: unloadModel(context),
      listEngines: listEngines(context),
      watchEngines: watchEngines(context),
      listDevices: listDevices(context),
      explainPlacement: explainPlacement(context),
      tailLogs: tailLogs(context),
    });
  };
}

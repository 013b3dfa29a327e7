import { create } from '@bufbuild/protobuf';
import type { HandlerContext, MethodImpl } from '@connectrpc/connect';
import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import {
  type InferenceService,
  type LoadModelResponse,
  type NodeEngine,
  type UnloadModelRequest,
  UnloadModelResponseSchema,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { type Fleet, onBehalf } from '../fleet/fleet.ts';
import type { LoadPlaces } from '../fleet/load-places.ts';
import { unloadEverywhere } from '../fleet/unload.ts';

/**
 * How long the end of a load or an unload is held back until this router knows of it from the node's reports, in
 * milliseconds: whoever was told that a model is ready may use it at once.
 */
const KNOWN_LIMIT_MS = 2_000;

/** Loads a model on the node that is named, that has it, or that has the best place for it. */
export function loadFleetModel(fleet: Fleet, places: LoadPlaces): MethodImpl<typeof InferenceService.method.loadModel> {
  return async function* (request, call) {
    const node = await places.find(request, call);
    try {
      for await (const progress of fleet.at(node).loadModel({ ...request, node: node.node }, onBehalf(call))) {
        if (progress.engine?.state === EngineState.READY) await readyIsKnown(fleet, progress);
        yield progress;
      }
    } catch (error) {
      if (!call.signal.aborted) places.forget(request.model);
      throw error;
    }
  };
}

/** Unloads a model on the node that is named, or on all that have it. */
export function unloadFleetModel(fleet: Fleet): MethodImpl<typeof InferenceService.method.unloadModel> {
  return async (request, call) => {
    const engines = await unload(fleet, request, call);
    await Promise.all(engines.map((engine) => endIsKnown(fleet, engine)));
    return create(UnloadModelResponseSchema, { engines });
  };
}

async function unload(fleet: Fleet, request: UnloadModelRequest, call: HandlerContext): Promise<NodeEngine[]> {
  if (request.node === '') return unloadEverywhere(fleet, request.model, call);
  const node = fleet.named(request.node);
  return (await fleet.at(node).unloadModel(request, onBehalf(call))).engines;
}

/** Follows the log of an engine on the node that is named, or on the only one that has it. */
export function tailFleetLogs(fleet: Fleet): MethodImpl<typeof InferenceService.method.tailLogs> {
  return async function* (request, call) {
    const name = request.node === '' ? await onlyNodeWith(fleet, request.engine, call) : request.node;
    yield* fleet.at(fleet.named(name)).tailLogs({ ...request, node: name }, onBehalf(call));
  };
}

async function onlyNodeWith(fleet: Fleet, engine: string, call: HandlerContext): Promise<string> {
  const nodes = (await fleet.engines(call)).flatMap((one) => (one.engine?.name === engine ? [one.node] : []));
  const [only] = nodes;
  if (only === undefined) {
    throw new MeshError('MODEL_NOT_FOUND', `No node has an engine '${engine}'.`, { metadata: { model: engine } });
  }
  if (nodes.length === 1) return only;
  throw new MeshError('INVALID_FIELD', `node: several nodes have '${engine}'; name one of ${nodes.join(', ')}`, {
    metadata: { field: 'node' },
  });
}

function readyIsKnown(fleet: Fleet, { node, engine }: LoadModelResponse): Promise<boolean> {
  return isKnown(fleet, node, engine?.name, (state, unloaded) => state === EngineState.READY && !unloaded);
}

function endIsKnown(fleet: Fleet, { node, engine }: NodeEngine): Promise<boolean> {
  const name = engine?.name;
  return isKnown(fleet, node, name, (state, unloaded) => state !== EngineState.READY && unloaded === engine?.unloaded);
}

function isKnown(
  { registry }: Fleet,
  node: string,
  name: string | undefined,
  holds: (state: EngineState, unloaded: boolean) => boolean,
): Promise<boolean> {
  return registry.changes.until(() => {
    const known = registry.member(node);
    const engine = known?.node.engines.find((one) => one.name === name);
    // Of a node that has gone nothing more will be known.
    return known?.live !== true || (engine !== undefined && holds(engine.state, engine.unloaded));
  }, KNOWN_LIMIT_MS);
}

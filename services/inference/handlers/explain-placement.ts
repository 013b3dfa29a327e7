import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import {
  type ExplainPlacementResponse,
  ExplainPlacementResponseSchema,
  type InferenceService,
  PlacementCandidateSchema,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { InferenceContext } from '../context.ts';
import type { PlacementCandidate } from '../devices/device-book.ts';
import { tryModel } from '../devices/trial-demand.ts';
import { ModelFilesError } from '../devices/vram-estimate.ts';
import { onWantedDevice } from '../devices/wanted-device.ts';
import type { DeviceDemand } from '../engines/engine.ts';
import { type NamedModel, readModelName } from '../weights/model-name.ts';

type Context = Pick<InferenceContext, 'node' | 'devices' | 'engines' | 'demand' | 'modelsDirectory'>;

/** A dry run of placing a configured engine, a GGUF or a model of the Hugging Face hub on this node. */
export function explainPlacement(context: Context): MethodImpl<typeof InferenceService.method.explainPlacement> {
  return async ({ model, device }) => {
    const isConfigured = context.engines().some(({ name }) => name === model);
    const named = isConfigured ? undefined : await readModelName(model, context.modelsDirectory);
    await context.devices.refresh();
    if (device === 'cpu') return onCpu(context);
    return named ? forModel(context, named, device) : forEngine(context, model, device);
  };
}

async function forEngine(context: Context, engine: string, device: string): Promise<ExplainPlacementResponse> {
  const demand = await demandOf(context, engine);
  if (!demand) {
    const why = 'it needs no CUDA device of this node';
    const devices = context.devices.devices();
    const candidates = devices.map((one) => ({ device: one, chosen: false, why, freeBytes: 0, claimBytes: 0 }));
    return response(context, { fits: true, why, candidates });
  }
  const own = device === '' || device === 'auto' ? engine : undefined;
  const explanation = context.devices.explain(onWantedDevice(demand, device), own);
  const perDevice = BigInt(demand.neededBytes);
  return response(context, explanation, {
    estimatedBytes: perDevice * BigInt(demand.count),
    ...(demand.neededBytes > 0 && { estimate: { perDeviceBytes: perDevice, devices: demand.count } }),
  });
}

/** @throws MeshError INVALID_FIELD when the files of the engine's model cannot be read. */
async function demandOf(context: Context, engine: string): Promise<DeviceDemand | undefined> {
  try {
    return await context.demand(engine);
  } catch (error) {
    if (error instanceof ModelFilesError) throw invalidField('model', error.message);
    throw error;
  }
}

async function forModel(context: Context, named: NamedModel, device: string): Promise<ExplainPlacementResponse> {
  const { demand, explanation, estimate } = await tryModel(context.devices, named, device);
  if (!estimate) {
    const why = `${explanation.why}; its size is unknown, because its files are not on this node`;
    return response(context, { ...explanation, why });
  }
  return response(context, explanation, {
    estimatedBytes: BigInt(estimate.perDeviceBytes * demand.count),
    estimate: {
      perDeviceBytes: BigInt(estimate.perDeviceBytes),
      devices: demand.count,
      weightsBytes: BigInt(estimate.weightsBytes),
      kvCacheBytes: BigInt(estimate.cacheBytes),
      overheadBytes: BigInt(estimate.overheadBytes),
      contextTokens: estimate.contextTokens,
      concurrency: estimate.concurrency,
    },
  });
}

/** What is asked for on the CPU is placed beside everything. */
function onCpu(context: Context): ExplainPlacementResponse {
  const why = 'the CPU is asked for';
  const candidates = context.devices
    .devices()
    .map((device) => ({ device, chosen: device.index === undefined && !device.mig, why, freeBytes: 0, claimBytes: 0 }));
  return response(context, { fits: true, why, candidates });
}

type Estimated = Pick<MessageInitShape<typeof ExplainPlacementResponseSchema>, 'estimatedBytes' | 'estimate'>;

function response(
  { node }: Context,
  told: { readonly fits: boolean; readonly why: string; readonly candidates: readonly PlacementCandidate[] },
  estimated: Estimated = {},
): ExplainPlacementResponse {
  return create(ExplainPlacementResponseSchema, {
    ...estimated,
    fits: told.fits,
    summary: told.why,
    candidates: told.candidates.map((candidate) => {
      const bytes = { freeBytes: BigInt(candidate.freeBytes), claimBytes: BigInt(candidate.claimBytes) };
      return create(PlacementCandidateSchema, { ...candidate, ...bytes, node });
    }),
  });
}

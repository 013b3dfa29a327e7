import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type GenerateRequest, GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { EngineSchema, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { NodeSchema } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { createSnapshot, type ModelRoute, type Naming } from '../fleet/snapshot.ts';
import { EngineLoads } from './engine-loads.ts';
import { featuresOf } from './features.ts';
import type { SelectInput } from './select.ts';

/** An engine of the one model `m`, ready unless told, on the node `n`. */
export type EngineInit = MessageInitShape<typeof EngineSchema> & { readonly draining?: boolean };

/** The route of model `m` with these engines, each on `n`; those with `draining` on a node `d` that drains. */
export function routeOf(engines: readonly EngineInit[], naming: Naming = { aliases: {} }): ModelRoute {
  const nodeOf = (node: string, isDraining: boolean) =>
    create(NodeSchema, {
      node,
      draining: isDraining,
      engines: engines
        .filter(({ draining = false }) => draining === isDraining)
        .map(({ draining: _, ...engine }) =>
          create(EngineSchema, { modelId: 'm', state: EngineState.READY, ...engine }),
        ),
    });
  const route = createSnapshot([nodeOf('n', false), nodeOf('d', true)], naming).route('m');
  if (!route) throw new Error('no engines');
  return route;
}

/** What of a request the tests vary. */
type Asked = Pick<MessageInitShape<typeof GenerateRequestSchema>, 'prompt' | 'engine' | 'session'>;

/** A request of 1,000 tokens at most. */
export function requestOf(init: Asked = {}): GenerateRequest {
  return create(GenerateRequestSchema, { model: 'm', sampling: { maxTokens: 1_000 }, ...init });
}

/** What is chosen by, without a pin, a session or a known prefix. */
export function inputOf({ loads = new EngineLoads(), ...rest }: Partial<SelectInput> = {}): SelectInput {
  return {
    features: featuresOf(requestOf()),
    loads,
    excluded: () => false,
    affine: undefined,
    affinityBound: 2,
    random: Math.random,
    ...rest,
  };
}

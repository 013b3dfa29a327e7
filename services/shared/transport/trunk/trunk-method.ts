import type { DescMethod } from '@bufbuild/protobuf';
import { TrunkCommandsSchema } from '../../../../gen/mesh/generation/v1/trunk_pb.ts';

/** Whether a method is a trunk, of whichever service. */
export function isTrunk(method: DescMethod): boolean {
  return method.input.typeName === TrunkCommandsSchema.typeName;
}

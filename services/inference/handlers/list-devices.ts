import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import {
  type InferenceService,
  ListDevicesResponseSchema,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import type { InferenceContext } from '../context.ts';

/** The devices of this node, read anew, and who uses them. */
export function listDevices(
  context: Pick<InferenceContext, 'node' | 'devices'>,
): MethodImpl<typeof InferenceService.method.listDevices> {
  return async () => {
    const { node, devices: book } = context;
    await book.refresh();
    return create(ListDevicesResponseSchema, {
      devices: book.devices().map((device) => ({ node, device })),
      problems: book.problem === undefined ? [] : [{ node, what: book.problem }],
    });
  };
}

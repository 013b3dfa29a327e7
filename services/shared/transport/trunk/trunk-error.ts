import { create } from '@bufbuild/protobuf';
import { AnySchema, anyPack } from '@bufbuild/protobuf/wkt';
import { ConnectError } from '@connectrpc/connect';
import type { TrunkError } from '../../../../gen/mesh/generation/v1/trunk_pb.ts';
import { fromConnectError, toConnectError } from '../../errors/connect-error.ts';
import type { MeshError } from '../../errors/mesh-error.ts';

/** An error as it travels on a trunk: the same status and details as that of an RPC of its own. */
export function toTrunkError(error: MeshError): TrunkError {
  const { code, rawMessage, details } = toConnectError(error);
  return {
    $typeName: 'mesh.generation.v1.TrunkError',
    code,
    message: rawMessage,
    details: details.map((detail) =>
      'desc' in detail ? anyPack(detail.desc, create(detail.desc, detail.value)) : create(AnySchema),
    ),
  };
}

/** The error that the other side told. */
export function fromTrunkError({ code, message, details }: TrunkError): MeshError {
  const error = new ConnectError(message, code);
  // As they stand in an error that came over an RPC of its own.
  error.details = details.map(({ typeUrl, value }) => ({ type: typeUrl.slice(typeUrl.lastIndexOf('/') + 1), value }));
  return fromConnectError(error);
}

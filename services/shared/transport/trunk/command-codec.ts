import { toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import {
  type TrunkCommand,
  TrunkCommandSchema,
  TrunkCommandsSchema,
} from '../../../../gen/mesh/generation/v1/trunk_pb.ts';
import { MeshError } from '../../errors/mesh-error.ts';
import { LARGEST_BYTES } from './trunk-limits.ts';

/** A TrunkCommand as it stands on the wire. */
export type EncodedCommand = Uint8Array;

/**
 * Encodes one command, so that one that is too large fails by itself and not with those that are sent beside it.
 *
 * @throws MeshError MESSAGE_TOO_LARGE
 */
export function encodeCommand(generationId: number, command: TrunkCommand['command']): EncodedCommand {
  const bytes = toBinary(TrunkCommandSchema, { $typeName: 'mesh.generation.v1.TrunkCommand', generationId, command });
  if (bytes.length > LARGEST_BYTES) throw new MeshError('MESSAGE_TOO_LARGE', 'The request is too large.');
  return bytes;
}

/** The TrunkCommands of commands. */
export function encodeCommands(commands: readonly EncodedCommand[]): Buffer {
  const writer = new BinaryWriter();
  for (const command of commands)
    writer.tag(TrunkCommandsSchema.field.commands.number, WireType.LengthDelimited).bytes(command);
  const { buffer, byteOffset, length } = writer.finish();
  return Buffer.from(buffer, byteOffset, length);
}

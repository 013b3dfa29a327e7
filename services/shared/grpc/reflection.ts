import { type DescFile, type DescService, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { nestedTypes } from '@bufbuild/protobuf/reflect';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code, type MethodImpl } from '@connectrpc/connect';
import {
  type ServerReflectionRequest,
  type ServerReflectionResponseSchema,
  ServerReflection as V1,
} from '../../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as V1Alpha } from '../../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import type { Routes } from '../transport/routes.ts';

/** What is known of the served services. */
interface Index {
  readonly services: readonly string[];
  readonly files: ReadonlyMap<string, DescFile>;
  /** Full names of types, services, methods, fields and values → where they are declared. */
  readonly symbols: ReadonlyMap<string, DescFile>;
}

type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>['messageResponse']>;

/**
 * `grpc.reflection.v1` and `v1alpha`, which is the same under another name.
 *
 * @param services what the listener serves; asked when the first client does
 */
export function reflectionRoutes(services: () => readonly DescService[]): Routes {
  let index: Index | undefined;

  async function* serverReflectionInfo(requests: AsyncIterable<ServerReflectionRequest>) {
    index ??= indexOf(services());
    for await (const request of requests) {
      yield { validHost: request.host, originalRequest: request, messageResponse: answer(request, index) };
    }
  }

  return (router) => {
    router.service(V1, { serverReflectionInfo });
    type V1AlphaImpl = MethodImpl<(typeof V1Alpha)['method']['serverReflectionInfo']>;
    // The two versions differ in the package name only, which no message here writes down.
    router.service(V1Alpha, { serverReflectionInfo: serverReflectionInfo as unknown as V1AlphaImpl });
  };
}

function answer({ messageRequest }: ServerReflectionRequest, index: Index): Answer {
  switch (messageRequest.case) {
    case 'listServices':
      return { case: 'listServicesResponse', value: { service: index.services.map((name) => ({ name })) } };
    case 'fileByFilename':
      return file(index.files.get(messageRequest.value), messageRequest.value);
    case 'fileContainingSymbol':
      return file(index.symbols.get(messageRequest.value), messageRequest.value);
    case 'allExtensionNumbersOfType':
      return { case: 'allExtensionNumbersResponse', value: { baseTypeName: messageRequest.value } };
    case 'fileContainingExtension':
      return notFound(messageRequest.value.containingType);
    default:
      return { case: 'errorResponse', value: { errorCode: Code.InvalidArgument, errorMessage: 'empty request' } };
  }
}

/** The file and everything that it imports, so that a client asks once. */
function file(found: DescFile | undefined, name: string): Answer {
  if (!found) return notFound(name);
  const fileDescriptorProto = [...withImports([found])].map((desc) => toBinary(FileDescriptorProtoSchema, desc.proto));
  return { case: 'fileDescriptorResponse', value: { fileDescriptorProto } };
}

function notFound(name: string): Answer {
  return { case: 'errorResponse', value: { errorCode: Code.NotFound, errorMessage: `unknown: ${name}` } };
}

function indexOf(services: readonly DescService[]): Index {
  const all = withImports(services.map((service) => service.file));
  const symbols = new Map<string, DescFile>();
  for (const desc of all) {
    for (const type of nestedTypes(desc)) {
      symbols.set(type.typeName, desc);
      for (const member of membersOf(type)) symbols.set(`${type.typeName}.${member.name}`, desc);
    }
  }
  return {
    services: services.map((service) => service.typeName).sort(),
    files: new Map([...all].map((desc) => [desc.proto.name, desc])),
    symbols,
  };
}

function membersOf(
  type: ReturnType<typeof nestedTypes> extends Iterable<infer T> ? T : never,
): readonly { name: string }[] {
  switch (type.kind) {
    case 'service':
      return type.methods;
    case 'message':
      return [...type.fields, ...type.oneofs];
    case 'enum':
      return type.values;
    case 'extension':
      return [];
  }
}

function withImports(files: readonly DescFile[], seen = new Set<DescFile>()): Set<DescFile> {
  for (const desc of files) {
    if (seen.has(desc)) continue;
    seen.add(desc);
    withImports(desc.dependencies, seen);
  }
  return seen;
}

import type { AnyDesc, DescFile } from '@bufbuild/protobuf';
import {
  DescriptorProtoSchema,
  EnumDescriptorProtoSchema,
  FileDescriptorProtoSchema,
  ServiceDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt';

/** Numbers of the fields of descriptor.proto that lead to a declaration. */
const OF_FILE = FileDescriptorProtoSchema.field;
const OF_MESSAGE = DescriptorProtoSchema.field;
const PACKAGE = 2;

/** The comment in front of a declaration, without its marks; empty where there is none. Of a file: that of its package. */
export function commentOf(desc: AnyDesc): string {
  const file = desc.kind === 'file' ? desc : 'file' in desc ? desc.file : desc.parent.file;
  const wanted = JSON.stringify(desc.kind === 'file' ? [PACKAGE] : pathOf(desc, file));
  const found = file.proto.sourceCodeInfo?.location.find(({ path }) => JSON.stringify(path) === wanted);
  // Each line begins with the space after its mark.
  return (found?.leadingComments ?? '').replace(/^ /gm, '').trimEnd();
}

/** Where a declaration stands in its file, as SourceCodeInfo counts. */
function pathOf(desc: Exclude<AnyDesc, DescFile>, file: DescFile): number[] {
  switch (desc.kind) {
    case 'message':
      return desc.parent
        ? [...pathOf(desc.parent, file), OF_MESSAGE.nestedType.number, desc.parent.proto.nestedType.indexOf(desc.proto)]
        : [OF_FILE.messageType.number, file.proto.messageType.indexOf(desc.proto)];
    case 'enum':
      return desc.parent
        ? [...pathOf(desc.parent, file), OF_MESSAGE.enumType.number, desc.parent.proto.enumType.indexOf(desc.proto)]
        : [OF_FILE.enumType.number, file.proto.enumType.indexOf(desc.proto)];
    case 'service':
      return [OF_FILE.service.number, file.proto.service.indexOf(desc.proto)];
    case 'rpc':
      return below(desc.parent, ServiceDescriptorProtoSchema.field.method.number, desc.parent.proto.method, desc.proto);
    case 'field':
      return below(desc.parent, OF_MESSAGE.field.number, desc.parent.proto.field, desc.proto);
    case 'oneof':
      return below(desc.parent, OF_MESSAGE.oneofDecl.number, desc.parent.proto.oneofDecl, desc.proto);
    case 'enum_value':
      return below(desc.parent, EnumDescriptorProtoSchema.field.value.number, desc.parent.proto.value, desc.proto);
    case 'extension':
      throw new Error(`${desc.typeName}: extensions are not documented`);
  }

  function below<T>(parent: Exclude<AnyDesc, DescFile>, field: number, siblings: readonly T[], own: T): number[] {
    return [...pathOf(parent, file), field, siblings.indexOf(own)];
  }
}

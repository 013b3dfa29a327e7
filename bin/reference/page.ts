import type { DescEnum, DescField, DescFile, DescMessage, DescMethod, DescService } from '@bufbuild/protobuf';
import { ScalarType } from '@bufbuild/protobuf';
import { authorizationTable } from '../../services/auth/authorization-table.ts';
import { scopeNameOf } from '../../services/auth/scope-names.ts';
import { methodName } from '../../services/shared/interceptors/access.ts';
import { commentOf } from './comments.ts';
import { errorTable } from './error-table.ts';
import { fieldRules } from './field-rules.ts';

/** Packages in the order in which a caller meets them; others follow by name. */
const ORDER = ['router', 'generation', 'tasks', 'auth', 'quota', 'inference', 'errors'].map(
  (area) => `mesh.${area}.v1`,
);

const INTRODUCTION = `# Contracts

Generated from \`proto/mesh/\` by \`npm run generate\`; change the comments there. [clients.md](clients.md) says how to call these from your language.

Every error has a \`google.rpc.ErrorInfo\` with a reason, domain \`inference-mesh\`; see [ErrorReason](#mesh.errors.v1.ErrorReason). An unset \`optional\` field is not zero:
what it means then stands with it.`;

/** Writes all contracts as one page of Markdown. */
export function referencePage(files: readonly DescFile[]): string {
  const packages = Map.groupBy(files, (file) => file.proto.package);
  const rank = (name: string) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  const names = [...packages.keys()].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  const sections = names.map((name) => packageSection(name, packages.get(name) ?? []));
  return `${[INTRODUCTION, contents(names, packages), ...sections].join('\n\n')}\n`;
}

function contents(names: readonly string[], packages: ReadonlyMap<string, DescFile[]>): string {
  const lines = names.flatMap((name) => {
    const services = servicesOf(packages.get(name) ?? []).map((service) => {
      const methods = service.methods.map((method) => `[${method.name}](#${anchorOf(method)})`);
      return `  - [${service.name}](#${service.typeName}): ${methods.join(', ')}`;
    });
    return [`- [${name}](#${name})`, ...services];
  });
  return lines.join('\n');
}

/** The one that has the package's name comes first. */
function servicesOf(files: readonly DescFile[]): DescService[] {
  const isMain = ({ typeName }: DescService) => /^mesh\.(\w+)\.v1\.\1Service$/i.test(typeName);
  return files.flatMap((file) => file.services).sort((a, b) => Number(isMain(b)) - Number(isMain(a)));
}

function packageSection(name: string, files: readonly DescFile[]): string {
  const about = files.map((file) => flow(commentOf(file))).filter((text) => text !== '');
  const messages = files.flatMap((file) => file.messages.flatMap(withNested));
  const enums = files.flatMap((file) => [
    ...file.enums,
    ...file.messages.flatMap(withNested).flatMap((m) => m.nestedEnums),
  ]);
  return [
    heading(2, name, name),
    ...about,
    ...servicesOf(files).map(serviceSection),
    ...messages.map(messageSection),
    ...enums.map(enumSection),
  ].join('\n\n');
}

function withNested(message: DescMessage): DescMessage[] {
  return [message, ...message.nestedMessages.flatMap(withNested)];
}

function serviceSection(service: DescService): string {
  const about = [heading(3, service.name, service.typeName), flow(commentOf(service))];
  return [...about, ...service.methods.map(methodSection)].join('\n\n');
}

function methodSection(method: DescMethod): string {
  const { text, errors } = errorTable(commentOf(method));
  const stream = (is: boolean) => (is ? 'stream ' : '');
  const { input, output, methodKind: kind } = method;
  const takes = `${stream(kind === 'client_streaming' || kind === 'bidi_streaming')}${typeLink(input)}`;
  const gives = `${stream(kind === 'server_streaming' || kind === 'bidi_streaming')}${typeLink(output)}`;
  const signature = `\`${methodName(method)}\` (${takes}) → (${gives}). ${access(method)}`;
  return [heading(4, `${method.parent.name}.${method.name}`, anchorOf(method)), signature, flow(text), ...errors].join(
    '\n\n',
  );
}

/** Who may call, by the table that decides it. */
function access(method: DescMethod): string {
  const rule = authorizationTable.get(methodName(method));
  switch (rule?.kind) {
    case 'open':
      return 'Anyone may call it.';
    case 'peer':
      return 'Only processes of the mesh may call it.';
    case 'scope':
      return `Needs the scope \`${scopeNameOf(rule.scope)}\`.`;
    case 'front-door':
      return 'Needs a valid credential.';
    case undefined:
      throw new Error(`${methodName(method)} is not in the authorization table`);
  }
}

function messageSection(message: DescMessage): string {
  const about = [heading(4, nameInPackage(message), message.typeName), flow(commentOf(message))];
  if (message.fields.length === 0) return about.join('\n\n');
  const rows = message.fields.map((field) => {
    const oneof = field.oneof ? `one of \`${field.oneof.name}\`` : '';
    const rules = [oneof, fieldRules(field)].filter((text) => text !== '').join('; ');
    return `| \`${field.name}\` = ${field.number} | ${fieldType(field)} | ${cell(rules)} | ${cell(flow(commentOf(field)))} |`;
  });
  const oneofs = message.oneofs.map((oneof) => `\`${oneof.name}\`: ${flow(commentOf(oneof))}`);
  return [...about, ['| Field | Type | Rules | Meaning |', '|---|---|---|---|', ...rows].join('\n'), ...oneofs].join(
    '\n\n',
  );
}

function enumSection(desc: DescEnum): string {
  const rows = desc.values.map((value) => `| \`${value.name}\` = ${value.number} | ${cell(flow(commentOf(value)))} |`);
  const about = [heading(4, nameInPackage(desc), desc.typeName), flow(commentOf(desc))];
  return [...about, ['| Value | Meaning |', '|---|---|', ...rows].join('\n')].join('\n\n');
}

function fieldType(field: DescField): string {
  switch (field.fieldKind) {
    case 'scalar':
      return `${field.presence === 1 && !field.oneof ? 'optional ' : ''}${scalarName(field.scalar)}`;
    case 'message':
      return typeLink(field.message);
    case 'enum':
      return typeLink(field.enum);
    case 'list':
      return `list of ${field.listKind === 'scalar' ? scalarName(field.scalar) : typeLink(field.listKind === 'enum' ? field.enum : field.message)}`;
    case 'map':
      return `map ${scalarName(field.mapKey)} → ${field.mapKind === 'scalar' ? scalarName(field.scalar) : typeLink(field.mapKind === 'enum' ? field.enum : field.message)}`;
  }
}

function scalarName(type: ScalarType): string {
  return ScalarType[type].toLowerCase();
}

/** A type of ours as a link to its section, another's by its name. */
function typeLink(desc: DescMessage | DescEnum): string {
  return desc.typeName.startsWith('mesh.') ? `[${nameInPackage(desc)}](#${desc.typeName})` : `\`${desc.typeName}\``;
}

function nameInPackage(desc: DescMessage | DescEnum): string {
  return desc.typeName.slice(desc.file.proto.package.length + 1);
}

function anchorOf(method: DescMethod): string {
  return `${method.parent.typeName}.${method.name}`;
}

function heading(level: number, text: string, anchor: string): string {
  return `<a id="${anchor}"></a>\n\n${'#'.repeat(level)} ${text}`;
}

/** Paragraphs as one line each; lists keep their lines. */
function flow(comment: string): string {
  return comment
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.replace(/\n(?!\s*[-*] )\s*/g, ' '))
    .join('\n\n');
}

function cell(text: string): string {
  return text.replace(/\s*\n\s*/g, '<br>').replaceAll('|', '\\|');
}

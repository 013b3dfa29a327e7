import { SchemaError, type SchemaPath } from './schema-node.ts';

/** The kinds of JSON values, which their first character tells apart. */
export type JsonKind = 'string' | 'number' | 'object' | 'array' | 'boolean' | 'null';

/** One way to write a value: a rule whose texts are all of one kind. */
export type Form = {
  readonly rule: string;
  readonly kind: JsonKind;
  /** The values inside. */
  readonly children: readonly Value[];
  /** The values by their canonical texts, where there are only these. */
  readonly literals?: ReadonlySet<string>;
  /** Of an object: the members that are always there. */
  readonly required?: ReadonlyMap<string, Value>;
  /** Of an object: the member that is always written first. */
  readonly firstMember?: string;
};

/** A value of the schema: the rule `rule` is one of its forms or, where a schema stands for others, one of theirs. */
export type Value = {
  readonly rule: string;
  readonly path: SchemaPath;
  parts: readonly (Form | Value)[];
};

const isValue = (part: Form | Value): part is Value => 'parts' in part;

/** All forms of a value, each once. Throws SchemaError where a value stands for itself. */
export function formsOf(value: Value): readonly Form[] {
  const forms = new Set<Form>();
  const done = new Set<Value>();
  const open = new Set<Value>();
  const visit = (current: Value): void => {
    if (open.has(current)) throw new SchemaError(current.path, 'invalid', 'is defined by itself');
    if (done.has(current)) return;
    open.add(current);
    for (const part of current.parts) {
      if (isValue(part)) visit(part);
      else forms.add(part);
    }
    open.delete(current);
    done.add(current);
  };
  visit(value);
  return [...forms];
}

/** The values that a value may have, by their canonical texts, where there are only these. */
function literalsOf(value: Value | undefined): ReadonlySet<string> | undefined {
  if (value === undefined) return undefined;
  const literals = formsOf(value).map((form) => form.literals);
  if (literals.includes(undefined)) return undefined;
  return new Set(literals.flatMap((texts) => [...(texts ?? [])]));
}

function differ(left: ReadonlySet<string> | undefined, right: ReadonlySet<string> | undefined): boolean {
  return left !== undefined && right !== undefined && left.isDisjointFrom(right);
}

/** Whether no JSON value is of both forms, as far as can be told. */
export function areDisjoint(left: Form, right: Form): boolean {
  if (left.kind !== right.kind) return true;
  if (left.literals !== undefined || right.literals !== undefined) return differ(left.literals, right.literals);
  for (const [name, value] of left.required ?? []) {
    const other = right.required?.get(name);
    if (other !== undefined && differ(literalsOf(value), literalsOf(other))) return true;
  }
  return false;
}

/** Whether two forms are told apart by their kind or their first member, before anything is nested in them. */
export function divergeEarly(left: Form, right: Form): boolean {
  if (left.kind !== right.kind) return true;
  const { firstMember } = left;
  if (firstMember === undefined || right.firstMember === undefined) return false;
  if (firstMember !== right.firstMember) return true;
  return differ(literalsOf(left.required?.get(firstMember)), literalsOf(right.required?.get(firstMember)));
}

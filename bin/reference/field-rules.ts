import { type DescField, getOption, hasOption, isFieldSet, toJson } from '@bufbuild/protobuf';
import { FieldRulesSchema, field as rulesExtension } from '../../gen/buf/validate/validate_pb.ts';

type Rules = Readonly<Record<string, unknown>>;

/** How a rule of buf.validate is told, in this order; `{}` is its value. What is not here would be told by its own name. */
const WORDS: Readonly<Record<string, string>> = {
  minLen: 'at least {} characters',
  maxLen: 'at most {} characters',
  maxBytes: 'at most {} bytes',
  minItems: 'at least {}',
  maxItems: 'at most {}',
  minPairs: 'at least {} pairs',
  maxPairs: 'at most {} pairs',
  gte: '≥ {}',
  lte: '≤ {}',
  gt: '> {}',
  lt: '< {}',
  const: 'must be {}',
  pattern: 'matches `{}`',
  in: 'one of {}',
  notIn: 'none of {}',
  definedOnly: 'a known value',
  finite: 'finite',
  unique: 'no two the same',
};

/** What the contract demands of a field, e.g. "required; at most 512 characters"; empty: nothing. */
export function fieldRules(desc: DescField): string {
  if (!hasOption(desc, rulesExtension)) return '';
  const rules = getOption(desc, rulesExtension);
  const required = isFieldSet(rules, FieldRulesSchema.field.required) && rules.required;
  const { required: _, cel, ...byType } = toJson(FieldRulesSchema, rules) as Rules;
  if (cel !== undefined) throw new Error(`${desc}: rules in CEL are told in comments only`);
  return [...(required ? ['required'] : []), ...Object.values(byType).flatMap((rule) => inWords(rule as Rules))].join(
    '; ',
  );
}

function inWords(rules: Rules): string[] {
  const rank = (name: string) => Object.keys(WORDS).indexOf(name);
  return Object.entries(rules)
    .sort(([one], [other]) => rank(one) - rank(other))
    .flatMap(([name, value]) => {
      // Rules of the items of a list, or of the keys and values of a map.
      if (name === 'items' || name === 'keys' || name === 'values') {
        const inner = Object.values(value as Rules).flatMap((rule) => inWords(rule as Rules));
        return inner.map((text) => `${name === 'items' ? 'each' : name}: ${text}`);
      }
      if (value === false) return [];
      return [(WORDS[name] ?? `${name} {}`).replace('{}', String(value))];
    });
}

import { expect, test } from 'vitest';
import { cpuMsOf } from '../../../../test/harness/cpu-time.ts';
import { loadBinding } from '../llama-binding.ts';
import { schemaGrammar } from './schema-grammar.ts';

const binding = loadBinding('cpu', () => {});
if (binding === undefined) throw new Error('no llama.cpp for this machine');
const { AddonGrammar } = binding;

/** Which of the texts the grammar of a schema takes whole. */
function accepted(schema: unknown, texts: readonly string[]): readonly string[] {
  const grammar = new AddonGrammar(schemaGrammar(schema), { addonExports: binding as NonNullable<typeof binding> });
  return texts.filter((text) => grammar.isTextCompatible(text));
}
const text = { type: 'string' };

test.each<[string, unknown, readonly string[], readonly string[]]>([
  [
    'anything',
    true,
    ['{}', '[1, {"a": null}]', '"é\\n\\u00e9"', '-0.5e+3', 'true'],
    ['', 'nul', '"a', '01', '{"a":}', '\n1'],
  ],
  [
    'white space is bounded',
    {},
    ['[ 1]', '[\n    1\n]'],
    ['[  1]', '[\n\n1]', `[\n${' '.repeat(21)}1]`, '{"a":\n1}', '1 '],
  ],
  ['escapes', text, ['"\\u00e9\\""', '"/"'], ['"\\ud83d\\ude00"', '"\\x"', '"\n"', '"\t"']],
  ['integers', { type: 'integer' }, ['0', '-7', '123456789012345'], ['1.0', '1e3', '00', '1234567890123456']],
  [
    'integer bounds',
    { type: 'integer', minimum: -12, maximum: 105 },
    ['-12', '-9', '0', '99', '100', '105'],
    ['-13', '106', '1000', '-0'],
  ],
  ['exclusive bounds', { type: 'integer', exclusiveMinimum: 0, exclusiveMaximum: 2.5 }, ['1', '2'], ['0', '3', '-1']],
  [
    'number bounds',
    { minimum: -1, maximum: 2 },
    ['-1', '-1.0', '-0.5', '0', '1.99', '2', '2.0'],
    ['-1.5', '2.1', '3', '1e1'],
  ],
  [
    'open number bounds',
    { exclusiveMinimum: 0, exclusiveMaximum: 1 },
    ['0.5', '0.001'],
    ['0', '0.0', '1', '1.0', '-0.5'],
  ],
  [
    'no digit more than a reader of JSON keeps, next to an open bound',
    { exclusiveMinimum: 100, exclusiveMaximum: 1000 },
    ['100.000000000001', '999.999999999999'],
    ['100.000000000000001', '999.9999999999999999', '100.0000000000001'],
  ],
  ['the same below', { exclusiveMinimum: 0, exclusiveMaximum: 100 }, ['99.9999999999999'], ['99.999999999999999']],
  [
    'open bounds with little or no room for decimals',
    { exclusiveMinimum: 99999999999999, exclusiveMaximum: 100000000000002 },
    ['100000000000000', '100000000000001'],
    ['99999999999999', '99999999999999.0', '99999999999999.99', '100000000000000.5', '100000000000002'],
  ],
  ['one decimal', { exclusiveMinimum: 12345678901234, maximum: 12345678901235 }, ['12345678901234.5'], []],
  ['bounds beyond all digits', { type: 'integer', minimum: -(2 ** 53), maximum: 2 ** 53 }, ['0', '-7'], ['1e16']],
  [
    'a range that ends beyond all digits',
    { type: 'number', minimum: 999999999999999, exclusiveMaximum: 1e15 },
    ['999999999999999'],
    ['999999999999998'],
  ],
  ['lengths in characters', { minLength: 1, maxLength: 2 }, ['"a"', '"é🙂"', '"\\n\\u0041"'], ['""', '"abc"']],
  [
    'long lengths',
    { minLength: 1001, maxLength: 2500 },
    [1001, 1999, 2000, 2500].map((n) => `"${'a'.repeat(n)}"`),
    [1000, 2501, 3000].map((n) => `"${'a'.repeat(n)}"`),
  ],
  [
    'enum',
    { enum: ['a', 'ab', 'b"\\', 1, 12, null, { k: [1] }] },
    ['"a"', '"ab"', '"b\\"\\\\"', '1', '12', 'null', '{"k":[1]}'],
    ['"abc"', '"b"', '2', '{"k": [1]}', '{}'],
  ],
  ['enum and type', { type: 'string', enum: ['a', 1] }, ['"a"'], ['1']],
  ['const', { const: false }, ['false'], ['true', '0']],
  [
    'const and enum whose members come in another order',
    { const: { a: 1, b: [{ c: 1, d: 2 }] }, enum: [{ b: [{ d: 2, c: 1 }], a: 1 }, { a: 1 }] },
    ['{"b":[{"d":2,"c":1}],"a":1}'],
    ['{"a":1}'],
  ],
  ['several types', { type: ['integer', 'null', 'number'] }, ['null', '1.5'], ['"a"', 'true']],
  ['nullable', { type: 'string', nullable: true, maxLength: 1 }, ['null', '"a"'], ['"ab"']],
  [
    'arrays',
    { items: { type: 'integer' }, minItems: 1, maxItems: 3 },
    ['[1]', '[1,2, 3]'],
    ['[]', '[1,2,3,4]', '["a"]', '[1,]'],
  ],
  ['an array of none', { type: 'array', maxItems: 0 }, ['[]', '[ ]'], ['[1]']],
  [
    'tuples',
    { prefixItems: [text, { type: 'integer' }], items: false },
    ['[]', '["a"]', '["a",1]'],
    ['[1]', '["a",1,2]'],
  ],
  [
    'tuples with more',
    { prefixItems: [text], items: { const: 1 }, minItems: 2, maxItems: 3 },
    ['["a",1]', '["a",1,1]'],
    ['["a"]', '["a",1,1,1]', '["a","b"]'],
  ],
  ['a long tuple cut', { prefixItems: [text, text], maxItems: 1 }, ['["a"]', '[]'], ['["a","b"]']],
  [
    'required and optional members',
    { properties: { a: { const: 1 }, b: { const: 2 }, c: { const: 3 } }, required: ['b'] },
    ['{"b":2}', '{"a": 1,"b":2}', '{"b":2, "c":3}', '{ "a":1,"b":2,"c":3 }'],
    ['{}', '{"a":1}', '{"b":2,"a":1}', '{"b":2,}', '{,"b":2}', '{"b":2,"d":1}'],
  ],
  [
    'nothing but optional members',
    { properties: { a: { const: 1 }, b: { const: 2 } } },
    ['{}', '{"a":1}', '{"b":2}', '{"a":1,"b":2}'],
    ['{"a":1,"a":1}'],
  ],
  [
    'other members',
    { properties: { ab: { const: 1 } }, additionalProperties: { const: 2 } },
    ['{}', '{"ab":1}', '{"ab":1,"x":2}', '{"a":2}', '{"abc":2,"":2}'],
    ['{"ab":2}', '{"x":1}', '{"\\u0061b":2}'],
  ],
  [
    'other members beside a name with escapes',
    { properties: { 'a"': { const: 1 } }, additionalProperties: true },
    ['{"a\\"":1,"x":2}'],
    ['{"x":2,"a\\"":3}', '{"a\\u0022":3}'],
  ],
  ['a map', { type: 'object', additionalProperties: { type: 'integer' } }, ['{}', '{"x":1, "y":2}'], ['{"x":"a"}']],
  [
    'a required member that is not declared',
    { required: ['z'], additionalProperties: text },
    ['{"z":"a"}'],
    ['{}', '{"z":1}'],
  ],
  [
    'a member called __proto__',
    JSON.parse('{"properties":{"__proto__":{"const":1}},"required":["__proto__"]}'),
    ['{"__proto__":1}'],
    ['{}'],
  ],
  ['anyOf', { anyOf: [text, { type: 'array', items: text }] }, ['"a"', '["a"]'], ['1', '[1]']],
  [
    'oneOf by const',
    {
      oneOf: [
        { properties: { t: { const: 'a' } }, required: ['t'] },
        { properties: { t: { enum: ['b', 'c'] } }, required: ['t'] },
      ],
    },
    ['{"t":"a"}', '{"t":"c"}'],
    ['{"t":"d"}', '{}'],
  ],
  ['allOf with one', { allOf: [text], description: 'x' }, ['"a"'], ['1']],
  [
    'references',
    { $ref: '#/$defs/a~1b', $defs: { 'a/b': { $ref: '#/definitions/c' } }, definitions: { c: { const: 1 } } },
    ['1'],
    ['2'],
  ],
  [
    'a list in itself',
    { properties: { next: { anyOf: [{ $ref: '#' }, { type: 'null' }] } }, required: ['next'] },
    ['{"next":{"next":null}}'],
    ['{"next":{}}', '{"next":1}'],
  ],
  ['dates', { format: 'date' }, ['"2024-02-28"', '"1999-12-31"'], ['"2024-02-30"', '"2024-13-01"', '"2024-04-31"']],
  [
    'times',
    { format: 'date-time' },
    ['"2024-01-31T23:59:59Z"', '"2024-01-31T00:00:00.5+01:00"'],
    ['"2024-01-31T24:00:00Z"', '"2024-01-31"'],
  ],
  ['ids', { format: 'uuid' }, ['"123e4567-e89b-12d3-a456-426614174000"'], ['"123e4567"']],
  [
    'addresses',
    { anyOf: [{ format: 'ipv4' }, { format: 'email' }] },
    ['"127.0.0.1"', '"a.b@c.de"'],
    ['"256.0.0.1"', '"a@b"'],
  ],
])('%s', (_name, schema, right, wrong) => {
  expect(accepted(schema, [...right, ...wrong])).toEqual(right);
});

test.each<[string, unknown, string]>([
  ['pattern', { properties: { a: { ...text, pattern: '^a' } } }, 'properties.a.pattern'],
  ['an unknown keyword', { items: { typo: 1 } }, 'items.typo'],
  ['not', { not: text }, 'not'],
  ['multipleOf', { type: 'number', multipleOf: 0.1 }, 'multipleOf'],
  ['bounds that are not whole', { type: 'number', minimum: 0.5 }, 'minimum'],
  ['uniqueItems', { items: text, uniqueItems: true }, 'uniqueItems'],
  ['minProperties', { type: 'object', minProperties: 1 }, 'minProperties'],
  ['an unknown format', { type: 'string', format: 'regex' }, 'format'],
  ['a length beside a format', { format: 'date', minLength: 3 }, 'minLength'],
  ['patternProperties', { patternProperties: { '^a': text } }, 'patternProperties'],
  [
    'a constraint beside $ref',
    { properties: { a: { $ref: '#/$defs/b', minLength: 1 } }, $defs: { b: text } },
    'properties.a.minLength',
  ],
  ['a constraint beside anyOf', { anyOf: [text], required: ['a'] }, 'required'],
  ['a constraint beside enum', { enum: ['a'], maxLength: 3 }, 'maxLength'],
  ['allOf with several', { allOf: [text, { maxLength: 3 }] }, 'allOf'],
  ['oneOf that may overlap', { oneOf: [{ type: 'integer' }, { type: 'number' }] }, 'oneOf.1'],
  ['oneOf of objects without a mark', { oneOf: [{ required: ['a'] }, { required: ['b'] }] }, 'oneOf.1'],
  ['oneOf by the order of members', { oneOf: [{ const: { a: 1, b: 2 } }, { const: { b: 2, a: 1 } }] }, 'oneOf.1'],
  ['a reference elsewhere', { $ref: 'https://example.com/schema' }, '$ref'],
  ['a reference to nothing', { $ref: '#/$defs/a' }, '$ref'],
  ['a reference to itself', { properties: { a: { $ref: '#/properties/a' } } }, 'properties.a'],
  ['a choice of itself', { anyOf: [{ $ref: '#' }, text] }, ''],
  ['a type that is none', { properties: { a: { type: 'text' } } }, 'properties.a.type'],
  ['a schema that is none', { properties: { a: 5 } }, 'properties.a'],
  ['false where a value is needed', { properties: { a: false }, required: ['a'] }, 'properties.a'],
  ['no value at all', { type: 'string', enum: [1] }, ''],
  ['bounds without a number', { type: 'integer', minimum: 3, maximum: 2 }, ''],
  ['a negative length', { type: 'string', minLength: -1 }, 'minLength'],
  ['a count beyond reason', { items: text, maxItems: 5000 }, 'maxItems'],
])('%s is refused by its path', (_name, schema, path) => {
  expect(() => schemaGrammar(schema)).toThrow(expect.objectContaining({ name: 'SchemaError', path }));
});

test.each<[unknown, string, string]>([
  [{ type: 'integer', minimum: 1e15 }, 'minimum', 'unsupported'],
  [{ type: 'number', minimum: 1e300 }, 'minimum', 'unsupported'],
  [{ type: 'number', exclusiveMaximum: -1e15, maximum: 0 }, 'exclusiveMaximum', 'unsupported'],
  [{ type: 'integer', exclusiveMinimum: 999999999999999 }, 'exclusiveMinimum', 'unsupported'],
  [{ exclusiveMinimum: 999999999999998, exclusiveMaximum: 999999999999999 }, 'exclusiveMinimum', 'unsupported'],
  [{ type: 'integer', minimum: 2e15, maximum: 1e15 }, '', 'invalid'],
  [{ type: 'integer', exclusiveMinimum: 1, exclusiveMaximum: 2 }, '', 'invalid'],
  [{ type: 'number', exclusiveMinimum: 1, maximum: 1 }, '', 'invalid'],
])('bounds that allow none of our numbers: %j is refused at %j as %s', (schema, path, kind) => {
  const message = kind === 'invalid' ? /no number/ : /at most 15 digits/;
  expect(() => schemaGrammar(schema)).toThrow(
    expect.objectContaining({ path, kind, message: expect.stringMatching(message) }),
  );
});

test('an optional member that is impossible is left out', () => {
  expect(accepted({ properties: { a: false, b: { const: 1 } } }, ['{}', '{"b":1}', '{"a":1}'])).toEqual([
    '{}',
    '{"b":1}',
  ]);
});

const nested = (depth: number, wrap: (inner: unknown) => unknown): unknown => {
  let schema: unknown = text;
  for (let level = 0; level < depth; level++) schema = wrap(schema);
  return schema;
};
const chain = (length: number, link: (next: object) => unknown) => ({
  $ref: '#/$defs/d0',
  $defs: Object.fromEntries(
    Array.from({ length }, (_, index) => [
      `d${index}`,
      index === length - 1 ? text : link({ $ref: `#/$defs/d${index + 1}` }),
    ]),
  ),
});
const named = (count: number, schema: unknown) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`p${index}`, schema]));

test.each<[string, unknown]>([
  [
    'arrays that look alike, in themselves',
    { anyOf: [{ items: { $ref: '#' } }, { items: { $ref: '#' }, maxItems: 9 }, text] },
  ],
  [
    'arrays that look alike, in each other',
    chain(30, (next) => ({ anyOf: [{ items: next }, { items: next, maxItems: 9 }] })),
  ],
  [
    'objects that look alike, in themselves',
    { anyOf: [{ properties: { a: { $ref: '#' } } }, { properties: { a: { $ref: '#' }, b: text } }] },
  ],
  ['an alike that takes anything', { anyOf: [{ items: { $ref: '#' } }, { type: 'array' }] }],
  [
    'a choice of very many strings',
    { anyOf: Array.from({ length: 300 }, (_, index) => ({ ...text, maxLength: index })) },
  ],
  ['very deep', nested(500, (items) => ({ items }))],
  ['very wide', { properties: named(5000, text) }],
  ['very many schemas', nested(4, (inner) => ({ properties: named(20, inner) }))],
  ['long lists in long lists', nested(30, (items) => ({ items, minItems: 1500 }))],
  ['very many values', { enum: Array.from({ length: 100_000 }, (_, index) => index) }],
  ['a very long value', { const: 'x'.repeat(1_000_000) }],
  ['a very long name', { properties: { ['x'.repeat(100_000)]: text }, additionalProperties: true }],
])('a hostile schema is refused at once: %s', (_name, schema) => {
  const cpuMs = cpuMsOf(() => {
    expect(() => schemaGrammar(schema)).toThrow(expect.objectContaining({ name: 'SchemaError' }));
  });
  expect(cpuMs).toBeLessThan(500);
});

test.each<[string, unknown, string]>([
  // Each level refers twice to the next: 2^30 ways, if they were walked.
  ['references that double', chain(30, (next) => ({ anyOf: [next, { ...next, title: 'again' }] })), '"a"'],
  ['200 optional members', { properties: named(200, text) }, '{"p0":"a","p199":"b"}'],
  [
    'values that are each the beginning of the next',
    { enum: Array.from({ length: 300 }, (_, index) => 'a'.repeat(index)) },
    `"${'a'.repeat(299)}"`,
  ],
  ['the longest string', { ...text, maxLength: 100_000 }, '"a"'],
  ['the deepest nesting', nested(60, (items) => ({ items })), `${'['.repeat(60)}${']'.repeat(60)}`],
  [
    'choices by const in themselves',
    { anyOf: ['a', 'b', 'c'].map((t) => ({ properties: { t: { const: t }, x: { $ref: '#' } }, required: ['t'] })) },
    '{"t":"a","x":{"t":"c"}}',
  ],
])('the worst that is taken is quick: %s', (_name, schema, sample) => {
  const cpuMs = cpuMsOf(() => expect(accepted(schema, [sample])).toEqual([sample]));
  expect(cpuMs).toBeLessThan(500);
});

import { Validator } from '@seriousme/openapi-schema-validator';
import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { ENDPOINTS, type FacadeRouteContext, facadeRoutes } from '../routes.ts';
import { namedSchemas, openApiDocument } from './openapi.ts';

const document = openApiDocument(ENDPOINTS, '1.2.3');

test('the document is OpenAPI 3.1', async () => {
  const validator = new Validator();
  const result = await validator.validate(structuredClone(document));
  expect(result).toEqual({ valid: true });
  expect(validator.version).toBe('3.1');
  expect(document.openapi).toMatch(/^3\.1\./);
});

test('the validator is one: a document with a mistake is refused', async () => {
  const wrong = { ...document, paths: { '/x': { get: { responses: { 200: {} } } } } };
  expect(await new Validator().validate(wrong)).toMatchObject({ valid: false });
});

test('every registered route is in the document, and nothing else', () => {
  const registered: string[] = [];
  const app = Fastify();
  app.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat()) if (one !== 'HEAD') registered.push(`${one} ${url}`);
  });
  facadeRoutes(app, new Proxy({}, { get: () => () => undefined }) as FacadeRouteContext);

  const told = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const asTold = registered.map((route) => route.replace('*', '{id}').replace(/:(\w+)/g, '{$1}'));
  expect(told.sort()).toEqual(asTold.sort());
});

/** Every reference in the document. */
function references(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) =>
    name === '$ref' && typeof member === 'string' ? [member] : references(member),
  );
}

test('what is referred to is there, and what is there is referred to', () => {
  const all = new Set(references(document));
  expect(all.size).toBeGreaterThan(20);
  const { schemas, headers } = document.components as Record<string, Record<string, object>>;
  const there = [
    ...Object.keys(schemas ?? {}).map((name) => `#/components/schemas/${name}`),
    ...Object.keys(headers ?? {}).map((name) => `#/components/headers/${name}`),
  ];
  expect([...all].sort()).toEqual(there.sort());
});

test('operations have names of their own, words and answers', () => {
  const operations = Object.values(document.paths).flatMap(
    (path) => Object.values(path) as Record<string, string | object>[],
  );
  const ids = operations.map(({ operationId }) => operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { summary, description } of operations) {
    expect(summary).toMatch(/[^.]$/);
    expect(description).toMatch(/\S/);
  }
});

const bodies = ENDPOINTS.flatMap(({ method, path, body }) =>
  Object.entries(body?.examples ?? {}).map(([name, example]) => ({ of: `${method} ${path}: ${name}`, example, body })),
);

test.each(bodies)('the example of $of is accepted by the schema', ({ example, body }) => {
  const result = body?.schema.safeParse(example);
  expect(result?.error?.issues ?? []).toEqual([]);
});

const shapes = new Set(ENDPOINTS.flatMap(({ params, query, headers }) => [params, query, headers]));
const parameters = [...shapes].flatMap((object) => Object.entries(object?.shape ?? {}));

test.each(parameters)('the examples of the parameter %s are accepted by the schema', (_name, schema) => {
  const { examples = [], description } = schema.meta() ?? {};
  for (const example of examples as unknown[]) expect(schema.parse(example)).toBe(example);
  expect(description).toMatch(/\S/);
});

const answers = ENDPOINTS.flatMap(({ method, path, answers }) =>
  Object.entries(answers).map(([status, answer]) => ({ of: `${method} ${path} ${status}`, answer })),
);

test.each(answers)('the example of $of is what its schema says', ({ answer: { json, events } }) => {
  if (json) expect(json.schema.parse(json.example)).toEqual(json.example);
  const data = events?.example.match(/(?<=^data: )\{.*$/gm) ?? [];
  if (events) expect(data.length).toBeGreaterThan(0);
  for (const event of data) {
    const value = JSON.parse(event);
    expect(events?.schema.parse(value)).toEqual(value);
  }
});

test('a name stands for one schema', () => {
  const [first, second] = [...namedSchemas(ENDPOINTS)];
  const [endpoint] = ENDPOINTS;
  if (!first || !second || !endpoint) throw new Error('no schemas');
  const other = { ...endpoint, body: { name: first[0], schema: second[1], examples: {} } };
  expect(() => namedSchemas([...ENDPOINTS, other])).toThrow(`${first[0]} names two schemas`);
});

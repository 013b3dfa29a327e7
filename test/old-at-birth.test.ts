import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

/**
 * V8 makes two kinds of function old at birth: a function literal that is assigned to a property, and a getter in an object literal.
 * An old object keeps all that it reaches until the next full collection. One of them in what is made for each request, and every
 * request is collected by the dear collector instead of the cheap one: young collections took five times as long.
 */
const root = resolve(import.meta.dirname, '..');

const ASSIGNED_FUNCTION =
  /(?<!\b(?:const|let) \w+: \w+)(?<=[\w\])])\.#?\w+ = (?:async )?(?:\([^()]*\)|\w+)(?:: [\w<>|[\] ]+)? =>/;
/** Of an object literal: a class has its members at the outermost level. */
const LITERAL_GETTER = /^ {4,}get \w+\(/m;

/** Made once for a process, a store, an engine or a connection; not for a request. */
const MADE_SELDOM = new Set([
  'inference/engine-gate.ts',
  'inference/residency/model-slot.ts',
  'router/queue/places.ts',
  'shared/observability/otel-tracer.ts',
  'shared/observability/stdout-lines.ts',
  'shared/store/traced-store.ts',
  'shared/transport/credential-files.ts',
  'shared/transport/http-servers.ts',
  'shared/transport/listener.ts',
  'shared/transport/trunk/trunk-credentials.ts',
  'shared/transport/trunk/trunk-handler.ts',
  'tasks/worker.ts',
]);

const sources = globSync('services/**/*.ts', { cwd: root })
  .filter((path) => !/\.(test|fixture)\.ts$|\/test-[a-z-]+\.ts$/.test(path))
  .map((path) => ({ path: path.replace(/^services\//, ''), text: readFileSync(join(root, path), 'utf8') }));

test('the patterns find what they are for', () => {
  expect('    caller.onCut = (error) => end(error);').toMatch(ASSIGNED_FUNCTION);
  expect('    this.#onLost = async (error: Error): Promise<void> => {').toMatch(ASSIGNED_FUNCTION);
  expect('    this.#onLost = onLost;').not.toMatch(ASSIGNED_FUNCTION);
  expect('  readonly #onAbort = (): void => this.end();').not.toMatch(ASSIGNED_FUNCTION);
  expect('    return {\n      get open() {').toMatch(LITERAL_GETTER);
  expect('class A {\n  get open() {').not.toMatch(LITERAL_GETTER);
});

test('nothing that is made for a request is old at birth', () => {
  const found = sources.filter(({ text }) => ASSIGNED_FUNCTION.test(text) || LITERAL_GETTER.test(text));
  const odd = found.map(({ path }) => path).filter((path) => !MADE_SELDOM.has(path));
  expect(odd).toEqual([]);
});

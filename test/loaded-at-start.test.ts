// What a start does not need it does not load: every package that is loaded stays in memory, with its text, to the end.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

/** Each some 5 to 10 MB, and what would ask for it: an other process of the mesh, a hub, a schema of Fastify. */
const LATE = ['@grpc/grpc-js', 'undici', 'ajv'];

const SCRIPT = `
  const services = process.argv[1];
  for (const file of ['compose', 'inference/context', 'inference/routes', 'inference/weights/local-models', 'facade/context'])
    await import(services + file + '.ts');
  const { createApp } = await import(services + 'facade/http/app.ts');
  const app = createApp({ observers: [] });
  app.get('/x', { config: { access: 'open', template: '/x' } }, () => 'x');
  await app.ready();
  const { createRequire } = await import('node:module');
  process.stdout.write(JSON.stringify(Object.keys(createRequire(services).cache)));
`;

test('a mesh in one process loads no package that only others need', { timeout: 120_000 }, async () => {
  const services = new URL('../services/', import.meta.url).href;
  const node = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', SCRIPT, services];
  const { stdout } = await promisify(execFile)(process.execPath, node, { maxBuffer: 2 ** 24 });
  const loaded = JSON.parse(stdout) as string[];
  const packages = new Set(loaded.map((path) => /^.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]));
  expect(packages).toContain('fastify');
  expect(LATE.filter((name) => packages.has(name))).toEqual([]);
});

// Rolls the mesh, its worker processes and the embedded engine's program up into a few files, with the packages that they import.
// Usage: node bin/bundle.ts <checksum of what goes in>     – makes dist/<checksum>; bin/node.sh runs this where it is missing
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { Plugin } from 'rolldown';

const root = resolve(import.meta.dirname, '..');

/** The programs, by the name of their file in the folder. */
const PROGRAMS = { main: 'services/main.ts', 'embedded-engine': 'services/inference/embedded/main.ts' };

/** Left where they are. */
const PACKAGES = [
  // Native code; threads that are started by the name of a file.
  ...['@node-rs/bcrypt', 'pino'],
  // An exporter of OpenTelemetry requires it as well, in a way that is not seen; two copies do not take each other's objects.
  '@grpc/grpc-js',
  // Fastify asks for these only where a route has a schema of its kind or a request is injected, which no route of ours does: 600 kB
  // of text that each process would hold.
  ...['@fastify/ajv-compiler', '@fastify/fast-json-stringify-compiler', 'light-my-request'],
];

/** How many folders of other versions stay, and for how long all do, in milliseconds: processes that run load from them to their end. */
const KEPT_FOLDERS = 3;
const KEPT_MS = 3_600_000;

/**
 * What our files find beside themselves they find from the bundle too: for `import.meta` they stay where they are, but that
 * `new URL('….ts', import.meta.url)`, which names a program, is that program in the bundle.
 */
function placesOfSources(folder: string): Plugin {
  const programs = new Map(Object.entries(PROGRAMS).map(([name, path]) => [join(root, path), name]));
  const services = join(root, 'services/');
  return {
    name: 'places of sources',
    transform(code, id) {
      if (!id.startsWith(services)) return undefined;
      return code.replaceAll(
        /new URL\('([^']+\.ts)', import\.meta\.url\)|import\.meta\.\w+/g,
        (text, target?: string) => {
          if (target !== undefined) {
            const name = programs.get(resolve(id, '..', target));
            if (name === undefined)
              throw new Error(`${relative(root, id)} names ${target}, which bin/bundle.ts does not`);
            return `new URL('./${name}.js', import.meta.url)`;
          }
          const source = `new URL('${relative(folder, id)}', import.meta.url).href`;
          if (text === 'import.meta.url') return source;
          if (text === 'import.meta.resolve') {
            return `((to) => to.startsWith('.') ? new URL(to, ${source}).href : import.meta.resolve(to))`;
          }
          throw new Error(`${relative(root, id)} has ${text}, which bin/bundle.ts does not know`);
        },
      );
    },
  };
}

async function build(folder: string): Promise<void> {
  const { rolldown } = await import('rolldown');
  const bundle = await rolldown({
    input: PROGRAMS,
    cwd: root,
    platform: 'node',
    external: PACKAGES,
    // As Node.js, which knows none either.
    tsconfig: false,
    plugins: [placesOfSources(folder)],
    logLevel: 'silent',
  });
  // Names stay, so that stacks and logs tell functions and errors. No source map: Node.js would hold it in memory.
  await bundle.write({ dir: folder, format: 'esm', comments: false, keepNames: true });
  await bundle.close();
}

/** Removes bundles of other versions, the newest of them excepted, and what killed builds left. */
function tidy(): void {
  const others = readdirSync(parent)
    // What another start makes may be gone by now.
    .map((name) => ({ path: join(parent, name), found: statSync(join(parent, name), { throwIfNoEntry: false }) }))
    .flatMap(({ path, found }) => (found ? [{ path, changedAtMs: found.mtimeMs }] : []))
    .sort((a, b) => b.changedAtMs - a.changedAtMs)
    .slice(1 + KEPT_FOLDERS);
  for (const { path, changedAtMs } of others) {
    if (Date.now() - changedAtMs > KEPT_MS) rmSync(path, { recursive: true, force: true });
  }
}

/** Makes what another start, which is as far, may just have made: it is the same. */
function orFound(make: () => void): void {
  try {
    make();
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

// Of the project's true path, from which Node.js loads it: whoever starts it may come by a link.
const parent = join(root, 'dist');
const folder = join(parent, basename(process.argv[2] ?? ''));
// Of the same depth, for the way to the sources; renamed when it is whole, so that nobody runs half of it. Processes of two containers may
// have the same id.
const unfinished = `${folder}.${randomUUID()}`;
try {
  // Not `recursive`, which takes a read-only file system for a missing folder.
  orFound(() => mkdirSync(parent));
  if (realpathSync(parent) !== parent) throw new Error('it is a link, behind which there are no packages');
  mkdirSync(unfinished);
  console.error('Rolling the mesh up into one program (once per version) ...');
  await build(unfinished);
  orFound(() => renameSync(unfinished, folder));
  tidy();
} catch (error) {
  // Rolldown says first how many there are.
  const { errors: [first = error] = [] } = error as { errors?: readonly unknown[] };
  const [why] = stripVTControlCharacters(first instanceof Error ? first.message : String(first)).split('\n');
  console.error(`The mesh starts from its sources, slower and larger: ${basename(parent)} cannot be made: ${why}`);
} finally {
  rmSync(unfinished, { recursive: true, force: true });
}

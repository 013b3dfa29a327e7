import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const SERVICES = ['auth', 'quota', 'router', 'inference', 'tasks', 'facade'];
/** Started as programs of their own: they alone may touch the process. */
const ENTRY_FILES = ['services/main.ts', 'services/inference/embedded/main.ts'];

const sources = globSync('services/**/*.ts', { cwd: root })
  .filter((path) => !path.endsWith('.test.ts'))
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));

/** What a file imports, as paths from the root for files of ours, else as written. */
function importsOf({ path, text }: { path: string; text: string }): string[] {
  const specifiers = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '');
  return specifiers.map((name) => (name.startsWith('.') ? join(path, '..', name) : name));
}

/** The service that a path belongs to; undefined for shared, entry files and what is no service. */
function serviceOf(path: string): string | undefined {
  return SERVICES.find((service) => path.startsWith(`services/${service}/`));
}

function offenders(isWrong: (path: string, imported: string) => boolean): string[] {
  return sources.flatMap((source) =>
    importsOf(source)
      .filter((imported) => isWrong(source.path, imported))
      .map((imported) => `${source.path} → ${imported}`),
  );
}

test('the walk sees the tree', () => {
  expect(sources.length).toBeGreaterThan(50);
  expect(offenders((path) => path === 'services/compose.ts').length).toBeGreaterThan(5);
});

describe('imports', () => {
  test('a service never imports another service', () => {
    const wrong = offenders((path, imported) => {
      const from = serviceOf(path);
      const to = serviceOf(imported);
      return from !== undefined && to !== undefined && from !== to;
    });
    expect(wrong).toEqual([]);
  });

  test('shared never imports a service', () => {
    const wrong = offenders(
      (path, imported) => path.startsWith('services/shared/') && serviceOf(imported) !== undefined,
    );
    expect(wrong).toEqual([]);
  });

  test('only the composition root and the configuration know several services', () => {
    const wrong = offenders(
      (path, imported) =>
        serviceOf(path) === undefined &&
        serviceOf(imported) !== undefined &&
        path !== 'services/compose.ts' &&
        path !== 'services/config.ts' &&
        // Puts keys and users of other systems into the store.
        (path !== 'services/import.ts' || serviceOf(imported) !== 'auth'),
    );
    expect(wrong).toEqual([]);
  });

  test('no file of a service imports what stands on it', () => {
    const roots = ['services/main.ts', 'services/start-mesh.ts', 'services/compose.ts', 'services/import.ts'];
    const above = [...roots, 'services/config.ts'];
    expect(offenders((path, imported) => !roots.includes(path) && above.includes(imported))).toEqual([]);
  });

  test('child processes are started in one file', () => {
    const wrong = offenders(
      (path, imported) => imported === 'node:child_process' && path !== 'services/inference/supervisor/spawn.ts',
    );
    expect(wrong).toEqual([]);
    // Processes of the same program that share a port are not engines: nothing but node:cluster shares it.
    expect(offenders((path, imported) => imported === 'node:cluster' && !path.startsWith('services/workers/'))).toEqual(
      [],
    );
  });

  test('OpenTelemetry is loaded only where traces are recorded: it takes as long as a tenth of a start', () => {
    const wrong = sources.flatMap(({ path, text }) =>
      [
        ...text.matchAll(
          /^import (?!type)[^;]*?from '(@opentelemetry\/[^']+|[^']*(?:open-traces|otel-tracer|otel-context)\.ts)'/gm,
        ),
      ].map(([, imported]) => `${path} → ${imported}`),
    );
    const inside = ['open-traces', 'otel-tracer', 'otel-context'].map(
      (name) => `services/shared/observability/${name}.ts → `,
    );
    expect(wrong.filter((line) => !inside.some((start) => line.startsWith(start)))).toEqual([]);
    expect(wrong.length).toBeGreaterThan(3);
  });

  test('no circles', () => {
    const graph = new Map(sources.map((source) => [source.path, importsOf(source)]));
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (path: string, trail: string[]): void => {
      if (trail.includes(path)) circles.push([...trail.slice(trail.indexOf(path)), path].join(' → '));
      if (done.has(path) || trail.includes(path)) return;
      for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
      done.add(path);
    };
    // `import type` is erased and makes no circle at run time, but it makes one in the reader's head all the same.
    for (const path of graph.keys()) visit(path, []);
    expect(circles).toEqual([]);
  });
});

describe('the command line', () => {
  const commandLine = globSync('bin/cli/**/*.ts', { cwd: root })
    .filter((path) => !path.endsWith('.test.ts'))
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
  /** What asks nobody but looks at this machine, or makes what a mesh of it would make. */
  const LOCAL = ['bin/cli/commands/doctor.ts', 'bin/cli/commands/hash.ts', 'bin/cli/local-config.ts'];

  test('is a client: but for the doctor and the hashes it knows gen/ and shared alone', () => {
    expect(commandLine.length).toBeGreaterThan(20);
    const wrong = commandLine.flatMap((source) =>
      importsOf(source)
        .filter((imported) => imported.startsWith('services/') && !imported.startsWith('services/shared/'))
        .filter(() => !LOCAL.includes(source.path) && !source.path.startsWith('bin/cli/doctor/'))
        .map((imported) => `${source.path} → ${imported}`),
    );
    expect(wrong).toEqual([]);
  });

  test('no service knows it', () => {
    expect(offenders((_path, imported) => imported.startsWith('bin/'))).toEqual([]);
  });

  test('its entry file alone touches the process', () => {
    const wrong = commandLine.filter(({ text }) =>
      /\bprocess\.(env|argv|exit|on|once|stdin|stdout|stderr|cwd)\b/.test(text),
    );
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });

  test('it starts no processes, and has no file over 400 lines', () => {
    const wrong = commandLine.filter((source) => importsOf(source).includes('node:child_process'));
    expect(wrong.map(({ path }) => path)).toEqual([]);
    expect(commandLine.filter(({ text }) => text.split('\n').length > 400).map(({ path }) => path)).toEqual([]);
  });
});

describe('files', () => {
  test('only entry files and the configuration touch process.env and process.argv', () => {
    const wrong = sources.filter(
      ({ path, text }) =>
        /\bprocess\.(env|argv|exit|on|once)\b/.test(text) &&
        !ENTRY_FILES.includes(path) &&
        path !== 'services/config.ts',
    );
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });

  test('the process title is never set', () => {
    expect(sources.filter(({ text }) => text.includes('process.title')).map(({ path }) => path)).toEqual([]);
  });

  test('no file over 400 lines, no grab-bags', () => {
    expect(sources.filter(({ text }) => text.split('\n').length > 400).map(({ path }) => path)).toEqual([]);
    expect(sources.filter(({ path }) => /(utils?|helpers?|manager)\.ts$|\/(utils|helpers)\//.test(path))).toEqual([]);
  });

  test('Redis keys are private to one service', () => {
    const owners = new Map<string, Set<string>>();
    for (const { path, text } of sources) {
      for (const [, prefix] of text.matchAll(/['"`]mesh:(\w+):/g)) {
        const owner = serviceOf(path) ?? path;
        owners.set(prefix ?? '', (owners.get(prefix ?? '') ?? new Set()).add(owner));
      }
    }
    expect([...owners].filter(([, services]) => services.size > 1)).toEqual([]);
  });
});

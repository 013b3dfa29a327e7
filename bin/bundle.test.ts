import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type RunningProgram, startProgram } from '../test/harness/processes.ts';

const root = resolve(import.meta.dirname, '..');
const ROLLED_UP = 'Rolling the mesh up';
const FROM_SOURCE = 'starts from its sources';

/** A project of the shape of ours, with programs that print a word and where they run from. */
let project: string;

beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'bundle-'));
  for (const file of ['node.sh', 'bundle.ts']) cpSync(join(root, 'bin', file), join(project, 'bin', file));
  symlinkSync(join(root, 'node_modules'), join(project, 'node_modules'));
  mkdirSync(join(project, 'gen'));
  mkdirSync(join(project, 'services/inference/embedded'), { recursive: true });
  write('package-lock.json', '{}');
  // Older than what is installed.
  utimesSync(join(project, 'package-lock.json'), 1, 1);
  write(
    'services/main.ts',
    "import { word } from './word.ts';\nconsole.log(word as string, process.argv.slice(1).join(' '));\n",
  );
  write('services/word.ts', "export const word: string = 'one';\n");
  write('services/inference/embedded/main.ts', 'export {};\n');
});

afterEach(() => rmSync(project, { recursive: true }));

function write(path: string, text: string): void {
  writeFileSync(join(project, path), text);
}

function start(env: Record<string, string> = {}, file = 'services/main.ts'): RunningProgram {
  return startProgram('sh', [join(project, 'bin/node.sh'), join(project, file), '--flag'], env);
}

/** What a start that ends by itself prints. */
async function printed(...args: Parameters<typeof start>): Promise<string> {
  const program = start(...args);
  await new Promise((ended) => program.child.once('close', ended));
  return program.output();
}

const bundles = (): string[] => readdirSync(join(project, 'dist'));
const fromBundle = (word: string): RegExp => new RegExp(`^${word} ${project}/dist/\\d+-\\d+/main\\.js --flag$`, 'm');
const fromSource = (word: string): RegExp => new RegExp(`^${word} ${project}/services/main\\.ts --flag$`, 'm');

describe('a start of the mesh', () => {
  test('rolls it up once', async () => {
    const first = await printed();
    expect(first).toMatch(fromBundle('one'));
    expect(first).toContain(ROLLED_UP);
    const second = await printed();
    expect(second).toMatch(fromBundle('one'));
    expect(second).not.toContain(ROLLED_UP);
    expect(bundles()).toHaveLength(1);
  });

  test('never runs a bundle of other sources, not of ones as long and older than it either', async () => {
    await printed();
    write('services/word.ts', "export const word: string = 'two';\n");
    utimesSync(join(project, 'services/word.ts'), 1, 1);
    expect(await printed()).toMatch(fromBundle('two'));
    // Whoever still runs the first one finds its files.
    expect(bundles()).toHaveLength(2);
    write('package-lock.json', '{"packages":{}}');
    utimesSync(join(project, 'package-lock.json'), 1, 1);
    expect(await printed()).toContain(ROLLED_UP);
    write('services/word.test.ts', '');
    expect(await printed()).not.toContain(ROLLED_UP);
  });

  test('runs the sources where it cannot be rolled up, and says why', async () => {
    rmSync(join(project, 'services/inference'), { recursive: true });
    const output = await printed();
    expect(output).toMatch(fromSource('one'));
    expect(output).toMatch(new RegExp(`${FROM_SOURCE}.*services/inference/embedded/main\\.ts`));
    expect(bundles()).toEqual([]);
  });

  test('runs the sources where a bundle cannot be written', async () => {
    write('dist', 'no folder');
    const output = await printed();
    expect(output).toMatch(fromSource('one'));
    expect(output).toMatch(new RegExp(`${FROM_SOURCE}.*dist`));
  });

  test('runs the sources where dist is a link: no packages would be found from behind it', async () => {
    mkdirSync(join(project, 'elsewhere'));
    symlinkSync(join(project, 'elsewhere'), join(project, 'dist'));
    const output = await printed();
    expect(output).toMatch(fromSource('one'));
    expect(output).toMatch(new RegExp(`${FROM_SOURCE}.*link`));
  });

  test("finds what lies beside its sources, whatever the project's path and by whatever link it is started", async () => {
    const path = join(project, "it's a $path/deep");
    mkdirSync(path, { recursive: true });
    for (const name of ['bin', 'gen', 'services', 'package-lock.json']) {
      cpSync(join(project, name), join(path, name), { recursive: true, preserveTimestamps: true });
    }
    symlinkSync(join(root, 'node_modules'), join(path, 'node_modules'));
    const link = join(project, 'link');
    symlinkSync(path, link);
    writeFileSync(join(path, 'services/beside.txt'), 'beside');
    writeFileSync(
      join(path, 'services/main.ts'),
      "import { readFileSync } from 'node:fs';\nconsole.log(readFileSync(new URL('./beside.txt', import.meta.url), 'utf8'), process.argv[1]);\n",
    );
    for (const from of [link, path]) {
      const program = startProgram('sh', [join(from, 'bin/node.sh'), join(from, 'services/main.ts')], {});
      await new Promise((ended) => program.child.once('close', ended));
      expect(program.output()).toMatch(/^beside .*\/dist\/\d+-\d+\/main\.js$/m);
    }
    expect(readdirSync(join(path, 'dist'))).toHaveLength(1);
  });

  test('runs the sources where it is told to', async () => {
    expect(await printed({ MESH_FROM_SOURCE: '1' })).toBe(`one ${project}/services/main.ts --flag\n`);
  });

  test('is not held up by others that start at the same time', async () => {
    const outputs = await Promise.all([printed(), printed(), printed()]);
    for (const output of outputs) {
      expect(output).toMatch(fromBundle('one'));
      expect(output).not.toContain(FROM_SOURCE);
    }
    expect(bundles()).toHaveLength(1);
  });
});

test('other programs run as they are', async () => {
  expect(await printed({}, 'services/word.ts')).toBe('');
  expect(readdirSync(project)).not.toContain('dist');
});

// `npm run check`: contracts, types and style. Ends with 1 at the first thing that does not hold.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const binaries = join(root, 'node_modules', '.bin');
// The packages' own launchers look for `node` on the PATH; the machine's may be too old for them.
const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}` };

function run(what: string, program: string, args: string[], hint: string): void {
  const { status } = spawnSync(program, args, { cwd: root, env, stdio: 'inherit' });
  if (status === 0) return;
  console.error(`check: ${what} failed. ${hint}`);
  process.exit(1);
}

/** The contracts of the last release, as an input of buf; undefined where there is none, or no history. */
function released(): string | undefined {
  const tags = ['describe', '--tags', '--abbrev=0', '--match', 'v[0-9]*'];
  const { status, stdout } = spawnSync('git', tags, { cwd: root, encoding: 'utf8' });
  return status === 0 ? `.git#tag=${stdout.trim()}` : undefined;
}

/** Generates into a copy, so that a check never changes the tree it checks. */
function checkGenerated(): void {
  const copy = mkdtempSync(join(tmpdir(), 'mesh-gen-'));
  try {
    for (const name of ['proto', 'buf.yaml', 'buf.gen.yaml'])
      cpSync(join(root, name), join(copy, name), { recursive: true });
    const plugin = JSON.stringify({
      version: 'v2',
      plugins: [
        {
          local: join(binaries, 'protoc-gen-es'),
          out: join(copy, 'gen'),
          opt: ['target=ts', 'import_extension=ts', 'erasable_syntax=true'],
        },
      ],
      inputs: [{ directory: copy }],
    });
    run('buf generate', join(binaries, 'buf'), ['generate', '--template', plugin], 'Mend the contracts.');
    run('gen/', 'diff', ['-r', join(root, 'gen'), join(copy, 'gen')], 'Run: npm run generate');
  } finally {
    rmSync(copy, { recursive: true });
  }
}

run('buf lint', join(binaries, 'buf'), ['lint'], 'Mend the contracts.');
run(
  'buf format',
  join(binaries, 'buf'),
  ['format', '-d', '--exit-code', '--path', 'proto/mesh'],
  'Run: npx buf format -w --path proto/mesh',
);
run(
  'buf breaking',
  join(binaries, 'buf'),
  ['breaking', '--against', released() ?? 'proto/baseline.binpb'],
  'Keep the contract compatible; where it must break: npm run baseline, with a line in CHANGELOG.md.',
);
checkGenerated();
run('docs/contracts.md', process.execPath, ['bin/reference.ts', '--check'], 'Run: npm run generate');
run('tsc', join(binaries, 'tsc'), ['--noEmit'], 'Mend the types.');
run('biome', join(binaries, 'biome'), ['check', '--error-on-warnings', '.'], 'Run: npx biome check --write .');

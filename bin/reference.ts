// Writes docs/contracts.md from the comments of proto/mesh/, as `npm run generate` does; with --check it only compares.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { referencePage } from './reference/page.ts';

const root = resolve(import.meta.dirname, '..');
const path = join(root, 'docs/contracts.md');
// The launcher of the package looks for `node` on the path; the machine's may be too old for it.
const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}` };
const build = ['build', '--as-file-descriptor-set', '-o', '-'];
const { status, stdout } = spawnSync(join(root, 'node_modules/.bin/buf'), build, {
  cwd: root,
  env,
  maxBuffer: 64 * 1024 * 1024,
  stdio: ['ignore', 'pipe', 'inherit'],
});
if (status !== 0) process.exit(1);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, stdout));
const page = referencePage([...registry.files].filter((file) => file.proto.package.startsWith('mesh.')));
if (!process.argv.includes('--check')) writeFileSync(path, page);
else if (readFileSync(path, 'utf8') !== page) {
  console.error('docs/contracts.md is not what proto/mesh/ says');
  process.exit(1);
}

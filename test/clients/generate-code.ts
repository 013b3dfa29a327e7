import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '../..');
const run = promisify(execFile);

/** For plugins that are compiled first, on a machine that does other work too. */
const GENERATE_TIMEOUT_MS = 300_000;

/**
 * Generates code from our protos, as callers do: `buf generate` in their folder.
 *
 * @param plugins as in buf.gen.yaml
 * @param managed as in buf.gen.yaml
 */
export async function generateCode(folder: string, plugins: readonly object[], managed?: object): Promise<void> {
  const template = JSON.stringify({
    version: 'v2',
    plugins,
    ...(managed && { managed }),
    inputs: [{ directory: root }],
  });
  const paths = ['mesh', 'third_party/buf', 'third_party/google'].flatMap((each) => [
    '--path',
    join(root, 'proto', each),
  ]);
  const { PATH } = process.env;
  await run(join(root, 'node_modules/.bin/buf'), ['generate', '--template', template, ...paths], {
    cwd: folder,
    timeout: GENERATE_TIMEOUT_MS,
    // Plugins in JavaScript run on the Node.js of the tests.
    env: { ...process.env, PATH: `${dirname(process.execPath)}:${PATH}` },
  });
}

import { type SpawnSyncOptionsWithStringEncoding, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

const MODULE = 'connectrpc.com/conformance';
const VERSION = 'v1.0.7';

/** The suite, as installed. */
export interface InstalledSuite {
  /** Path of its runner. */
  readonly program: string;
  /** Path of a FileDescriptorSet of its contract. */
  readonly descriptors: string;
}

/** Installs the runner and the contract of the pinned version into `.conformance/`, once. Tells why where that cannot be. */
export function installSuite(root: string): InstalledSuite | { readonly absent: string } {
  const directory = join(root, '.conformance', VERSION);
  const program = join(directory, 'connectconformance');
  const descriptors = join(directory, 'contract.binpb');
  if (existsSync(program) && existsSync(descriptors)) return { program, descriptors };
  if (spawnSync('go', ['version']).status !== 0) return { absent: 'there is no Go (`go`) on the path' };
  mkdirSync(directory, { recursive: true });
  const env = { ...process.env, GOBIN: directory };
  const options: SpawnSyncOptionsWithStringEncoding = { env, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' };
  console.log(`test:conformance: installing ${MODULE} ${VERSION} (once)`);
  if (spawnSync('go', ['install', `${MODULE}/cmd/connectconformance@${VERSION}`], options).status !== 0) {
    return { absent: `go install ${MODULE}@${VERSION} failed` };
  }
  const { status, stdout } = spawnSync('go', ['mod', 'download', '-json', `${MODULE}@${VERSION}`], options);
  if (status !== 0) return { absent: `go mod download ${MODULE}@${VERSION} failed` };
  const contract = join((JSON.parse(stdout) as { Dir: string }).Dir, 'proto');
  const build = ['build', contract, '--as-file-descriptor-set', '-o', descriptors];
  // The launcher of the package looks for `node` on the path; the machine's may be too old for it.
  const path = `${dirname(process.execPath)}:${process.env.PATH ?? ''}`;
  const built = spawnSync(join(root, 'node_modules/.bin/buf'), build, {
    env: { ...env, PATH: path },
    stdio: 'inherit',
  });
  if (built.status !== 0) throw new Error(`buf build ${contract} failed`);
  return { program, descriptors };
}

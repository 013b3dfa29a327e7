// Programs that only test:deploy needs, from the package registries: made once, kept beside the installed packages.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './compose-file.ts';

const CACHE = join(ROOT, 'node_modules/.cache/deploy');
const HELM = 'helm.sh/helm/v3/cmd/helm@v3.22.0';
/** Carries the schemas of Kubernetes. */
const KUBERNETES_VALIDATE = 'kubernetes-validate==1.37.0';

/** Compiling Helm takes minutes on a busy machine. */
const BUILD_TIMEOUT_MS = 800_000;

/** Whether Go is there, which Helm and Compose's own loader are built with. */
export const hasGo = (): boolean => isThere('go');

/** Whether a program is on the path. */
export function isThere(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
}

/** The path of Helm: the machine's own, else built. */
export function helm(): string {
  if (isThere('helm')) return 'helm';
  const path = join(CACHE, 'helm');
  if (!existsSync(path)) go(['install', HELM], ROOT);
  return path;
}

/** The path of the program in compose-go/, built. */
export function composeGo(): string {
  const path = join(CACHE, 'compose-go');
  if (!existsSync(path)) go(['build', '-o', path, '.'], join(import.meta.dirname, 'compose-go'));
  return path;
}

function go(args: readonly string[], cwd: string): void {
  mkdirSync(CACHE, { recursive: true });
  const env = { ...process.env, GOBIN: CACHE, GOFLAGS: '-buildvcs=false -p=2', GOTOOLCHAIN: 'local' };
  execFileSync('go', args, { cwd, env, stdio: 'pipe', timeout: BUILD_TIMEOUT_MS });
}

/** The path of kubernetes-validate, in a virtual environment of its own. */
export function kubernetesValidate(): string {
  const environment = join(ROOT, '.venv/deploy');
  const path = join(environment, 'bin/kubernetes-validate');
  if (existsSync(path)) return path;
  execFileSync('python3', ['-m', 'venv', '--clear', environment], { stdio: 'pipe' });
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', KUBERNETES_VALIDATE];
  execFileSync(join(environment, 'bin/python'), pip, { stdio: 'pipe', timeout: BUILD_TIMEOUT_MS });
  return path;
}

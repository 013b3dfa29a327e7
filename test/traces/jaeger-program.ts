import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The last release whose Go module has programs. */
const JAEGER = 'github.com/jaegertracing/jaeger@v1.76.0';

/** Minutes on two cores. */
const BUILD_LIMIT_MS = 1_800_000;

/**
 * Jaeger's `all-in-one` program: what the variable JAEGER names, else one that is built with Go and kept for the next time.
 *
 * @throws Error when there is neither.
 */
export function jaegerProgram(named: string | undefined): string {
  if (named) {
    if (!existsSync(named)) throw new Error(`JAEGER: there is no ${named}`);
    return named;
  }
  const directory = join(tmpdir(), 'inference-mesh-jaeger');
  const program = join(directory, 'all-in-one-1.76.0');
  if (existsSync(program)) return program;
  mkdirSync(directory, { recursive: true });
  // `go install` refuses modules that replace others; inside their source it is a build like any.
  const { Dir: source } = JSON.parse(go(['mod', 'download', '-json', JAEGER], tmpdir())) as { Dir: string };
  const copy = mkdtempSync(join(directory, 'source-'));
  cpSync(source, copy, { recursive: true });
  go(['build', '-modcacherw', '-o', join(copy, 'built'), './cmd/all-in-one'], copy);
  renameSync(join(copy, 'built'), program);
  rmSync(copy, { recursive: true, force: true });
  return program;
}

function go(args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync('go', [...args], {
    cwd,
    encoding: 'utf8',
    timeout: BUILD_LIMIT_MS,
  });
  if (status === 0) return stdout;
  throw new Error(
    `Jaeger is needed: install Go, or name its all-in-one program with JAEGER\n${error?.message ?? stderr}`,
  );
}

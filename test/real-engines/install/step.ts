import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** How one engine is installed. */
export interface Step {
  /** What it needs of the machine, as names of programs. */
  readonly needs: readonly string[];
  /** Why this machine cannot have it, asked when the programs are there. Undefined: it can. */
  readonly obstacle?: () => string | undefined;
  /** All that the result depends on: another text, another install. */
  readonly recipe: string;
  /** Installs into a folder that exists; throws where a program fails. */
  install(folder: string): void;
}

/** Whether a program is on PATH. */
export function isOnPath(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
}

/** Runs a program with its output shown. Throws when it does not end with 0. */
export function run(program: string, args: readonly string[], cwd?: string, env: Record<string, string> = {}): void {
  console.log(`$ ${program} ${args.join(' ')}`);
  const options = { stdio: 'inherit', env: { ...process.env, ...env }, ...(cwd === undefined ? {} : { cwd }) } as const;
  const { status, signal, error } = spawnSync(program, [...args], options);
  if (status !== 0) throw new Error(`${program} ended with ${error?.message ?? status ?? signal}`);
}

/** Installs an engine once. Returns what came of it, in words. */
export function carryOut(step: Step, folder: string): string {
  const mark = join(folder, '.installed');
  const wanted = createHash('sha256').update(step.recipe).digest('hex');
  if (existsSync(mark) && readFileSync(mark, 'utf8') === wanted) return 'is there already';
  const missing = step.needs.filter((program) => !isOnPath(program));
  if (missing.length > 0) return `skipped: needs ${missing.join(', ')}`;
  const obstacle = step.obstacle?.();
  if (obstacle !== undefined) return `skipped: ${obstacle}`;
  mkdirSync(folder, { recursive: true });
  step.install(folder);
  writeFileSync(mark, wanted);
  return 'installed';
}

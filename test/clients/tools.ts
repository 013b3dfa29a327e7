import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '../..');

/** For packages over a slow network, and for compilers on a machine that does other work too. */
export const TOOL_TIMEOUT_MS = 540_000;

/** The oldest that google.golang.org/grpc of clients/go/go.mod is made for. */
const GO = { major: 1, minor: 26 };

/** Where the programs go that Go installs for the tests; ignored by git. */
export const TOOLS = join(root, '.clients');

const execute = promisify(execFile);

/** Runs a program to its end. Rejects with what it told when it fails. */
export async function runTool(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  const { stdout } = await execute(program, [...args], { timeout: TOOL_TIMEOUT_MS, ...options });
  return stdout;
}

/** Whether Go is here, and new enough. Says so where it is not: what needs it is skipped then. */
export function hasGo(): boolean {
  const { status, stdout } = spawnSync('go', ['env', 'GOVERSION'], { encoding: 'utf8' });
  const [, major, minor] = /go(\d+)\.(\d+)/.exec(stdout ?? '') ?? [];
  if (status === 0 && Number(major) === GO.major && Number(minor) >= GO.minor) return true;
  console.log(`skipped: the clients in Go, and grpcurl, need Go ${GO.major}.${GO.minor} or newer (https://go.dev/dl)`);
  return false;
}

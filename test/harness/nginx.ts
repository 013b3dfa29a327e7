import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually, startProgram } from './processes.ts';

/** Whether nginx is installed. Debian has it where only root looks. */
export function hasNginx(): boolean {
  const found = spawnSync('sh', ['-c', 'PATH="$PATH:/usr/sbin" command -v nginx']).status === 0;
  if (!found && process.env.CI) throw new Error('nginx is missing; CI must install it');
  return found;
}

/** Starts nginx with what stands inside `http`, in the foreground; resolves once `isReady` does. */
export async function startNginx(http: string, isReady: () => Promise<boolean>): Promise<{ stop(): Promise<void> }> {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-nginx-'));
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`);
  const lines = ['daemon off;', 'master_process off;', 'pid nginx.pid;', 'error_log stderr warn;', 'events {}'];
  writeFileSync(
    join(directory, 'nginx.conf'),
    [...lines, 'http {', 'access_log off;', ...temporary, http, '}'].join('\n'),
  );
  const path = `${process.env.PATH ?? ''}:/usr/sbin`;
  const program = startProgram('nginx', ['-p', directory, '-c', 'nginx.conf', '-e', 'stderr'], { PATH: path });
  const stop = async (): Promise<void> => {
    await program.stop();
    rmSync(directory, { recursive: true });
  };
  try {
    await eventually('nginx is ready', () => {
      if (program.child.exitCode !== null) throw new Error(program.output());
      return isReady();
    });
  } catch (error) {
    await stop();
    throw new Error(program.output(), { cause: error });
  }
  return { stop };
}

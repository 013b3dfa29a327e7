// A fake text-generation-launcher. As the real one it starts shards and a web server, each in a process group of its own,
// reads missing flags from the environment, and takes the shards' socket from whoever had it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { renameSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { type Arguments, readArguments } from '../kit/arguments.ts';
import { faultScript } from '../kit/fault-script.ts';
import { live } from '../kit/life.ts';
import { TGI_TOOL, tgiFailures, tgiStartLines } from '../tgi/launcher.ts';

const DEFAULTS: Readonly<Record<string, string>> = {
  '--model-id': 'bigscience/bloom-560m',
  '--port': '3000',
  '--prometheus-port': '9000',
  '--master-port': '29500',
  '--shard-uds-path': '/tmp/text-generation-server',
  '--max-total-tokens': '4096',
  '--max-stop-sequences': '4',
  '--max-top-n-tokens': '5',
  '--max-concurrent-requests': '128',
};

const given: Arguments = readArguments(TGI_TOOL);

/** The flag, else its variable, else its default; clap reads all three. */
function setting(flag: string): string | undefined {
  const variable = flag.slice(2).replaceAll('-', '_').toUpperCase();
  return given.value(flag) ?? process.env[variable] ?? DEFAULTS[flag];
}

const shards = Number(setting('--num-shard') ?? (process.env.CUDA_VISIBLE_DEVICES || '0').split(',').length);
const children: ChildProcess[] = [];
// Its children are in groups of their own: only the launcher ends them.
process.on('exit', () => {
  for (const child of children) if (child.exitCode === null) child.kill('SIGTERM');
});

await live({
  script: faultScript(),
  startLines: tgiStartLines(shards),
  readyLines: [],
  log: 'stdout',
  failures: tgiFailures(),
  listen,
});

async function listen(): Promise<void> {
  await startShards();
  const router = join(import.meta.dirname, 'text-generation-router.ts');
  const flags = Object.keys(DEFAULTS).flatMap((flag) => [flag, setting(flag) ?? '']);
  const key = setting('--api-key');
  const args = ['--disable-warning=ExperimentalWarning', router, ...flags, ...(key ? ['--api-key', key] : [])];
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  child.once('exit', () => end(['ERROR text_generation_launcher: Webserver Crashed'], 'WebserverFailed'));
  child.stdout?.pipe(process.stdout);
  await once(child.stdout as NodeJS.ReadableStream, 'data');
}

/** Their processes do nothing; their sockets, which tell whose shards they are, are held here. */
async function startShards(): Promise<void> {
  for (let rank = 0; rank < shards; rank++) {
    const shard = spawn('sleep', ['1000000'], { detached: true, stdio: 'ignore' });
    children.push(shard);
    shard.once('exit', () => end([`ERROR text_generation_launcher: Shard ${rank} crashed`], 'ShardFailed'));
    const path = `${setting('--shard-uds-path')}-${rank}`;
    // The real one takes the name over from whoever has it; by a rename, two that start at once cannot both fail.
    await bind(
      createServer((socket) => socket.end(setting('--model-id') ?? '')),
      `${path}.${process.pid}`,
    );
    renameSync(`${path}.${process.pid}`, path);
  }
  // Only several shards need a meeting point.
  if (shards > 1) await bind(createServer(), Number(setting('--master-port')));
}

async function bind(server: Server, at: string | number): Promise<void> {
  server.listen(typeof at === 'string' ? { path: at } : { port: at, host: '127.0.0.1' });
  try {
    await once(server, 'listening');
  } catch (error) {
    end(
      [
        `RuntimeError: The server socket has failed to listen on any local network address. port: ${at}, code: ${(error as NodeJS.ErrnoException).code}, name: EADDRINUSE, message: address already in use`,
        'ERROR text_generation_launcher: Shard 0 failed to start',
      ],
      'ShardCannotStart',
    );
  }
}

function end(lines: readonly string[], error: string): void {
  for (const line of lines) process.stdout.write(`${line}\n`);
  process.stderr.write(`Error: ${error}\n`);
  process.exit(1);
}

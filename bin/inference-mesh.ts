// The commands `keys hash` and `users hash`: a secret in, what the configuration file takes of it out. And `backup`.
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { type HashOutput, hashOfKey, hashOfPassword } from '../services/auth/hash-commands.ts';
import { type Config, loadConfig } from '../services/config.ts';
import { loadEnvironment } from '../services/flags.ts';
import { ConfigError } from '../services/shared/lifecycle/config-source.ts';
import { exitCodeOf } from '../services/shared/lifecycle/exit-code.ts';
import { requireNode } from '../services/shared/lifecycle/node-version.ts';
import { readSecret } from '../services/shared/lifecycle/secret-file.ts';
import { backUp } from './backup.ts';

const USAGE = `Usage: npx inference-mesh <command>

  keys hash [--data-dir <path>] [--config <file>]   for auth.api_keys[].hash
  users hash                                        for auth.users[].password_hash
  backup <directory> [--data-dir <path>]            the embedded store and its secrets, also of a mesh that runs

A secret is read from standard input, never from the command line.
`;

const OPTIONS = {
  'data-dir': { type: 'string' },
  config: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

async function main(): Promise<void> {
  requireNode(process.versions.node);
  const { values, positionals } = parse();
  if (values.help || positionals.length === 0) return void process.stdout.write(USAGE);
  const [command, target] = positionals;
  if (command === 'backup' && target !== undefined && positionals.length === 2) {
    const copied = await backUp(settingsOf(values).server.data_dir, resolve(target));
    return void process.stdout.write(`${copied.join('\n')}\n`);
  }
  if (positionals.length > 2) {
    throw new ConfigError(
      'a secret does not belong on the command line, where others see it: change it, and type it here',
    );
  }
  const { hash, warning } = await run(positionals.join(' '), values);
  if (warning) process.stderr.write(`inference-mesh: ${warning}\n`);
  process.stdout.write(`${hash}\n`);
}

function parse() {
  try {
    return parseArgs({ args: process.argv.slice(2), options: OPTIONS, strict: true, allowPositionals: true });
  } catch {
    // Its message would repeat what was given, which may be a secret.
    throw new ConfigError(`unknown option.\n${USAGE}`);
  }
}

async function run(command: string, flags: { 'data-dir'?: string; config?: string }): Promise<HashOutput> {
  if (command === 'keys hash') {
    const pepper = Buffer.from(pepperOf(flags));
    return hashOfKey(await readInput('API key: '), pepper);
  }
  if (command === 'users hash') return await hashOfPassword(await readInput('Password: '));
  throw new ConfigError(`unknown command.\n${USAGE}`);
}

/** What a mesh started here would use. */
function settingsOf(flags: { 'data-dir'?: string; config?: string }): Config {
  const argv = (['data-dir', 'config'] as const).flatMap((name) => {
    const value = flags[name];
    return value === undefined ? [] : [`--${name}`, value];
  });
  return loadConfig(argv, loadEnvironment(argv, process.env, process.cwd()), process.cwd());
}

/** The same that a mesh started here would use; made if there is none yet. */
function pepperOf(flags: { 'data-dir'?: string; config?: string }): string {
  const { pepperFile, server } = settingsOf(flags);
  if (pepperFile !== undefined) return readSecret(pepperFile, { create: false });
  mkdirSync(server.data_dir, { recursive: true, mode: 0o700 });
  return readSecret(join(server.data_dir, 'pepper'), { create: true });
}

/** One line: from a person without showing it, else all of standard input. */
async function readInput(prompt: string): Promise<string> {
  if (!process.stdin.isTTY) return (await text(process.stdin)).replace(/\r?\n$/, '');
  process.stderr.write(prompt);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  try {
    return await lines.question('');
  } finally {
    lines.close();
    process.stderr.write('\n');
  }
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    const { code, message } = exitCodeOf(error);
    process.stderr.write(`inference-mesh: ${message}\n`);
    process.exit(code);
  },
);

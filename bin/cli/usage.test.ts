import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { Outcome } from './command.ts';
import type { Host } from './host.ts';
import type { OutputStream } from './output/terminal.ts';
import { runCommandLine } from './program.ts';
import { reportFailure } from './report-failure.ts';

/** Runs a command line in this process, as the entry file does; nothing is called. */
async function run(args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const [out, err]: [string[], string[]] = [[], []];
  const stdout = { write: (text: string) => out.push(text) } as unknown as OutputStream;
  const stderr = { write: (text: string) => err.push(text) } as unknown as OutputStream;
  const ended = (code: number) => ({ code, out: out.join(''), err: err.join('') });
  const host: Host = {
    ...{
      env: { MESH_URL: 'http://127.0.0.1:1' },
      workingDirectory: '/',
      stdout,
      stderr,
      version: '1',
      nodeVersion: '26.0.0',
    },
    stdin: Readable.from([]) as never,
    ...{ onSignal() {}, onExit() {} },
    exit: (code) => {
      throw new Error(`exit ${code}`);
    },
  };
  const outcome = new Outcome();
  try {
    await runCommandLine(args, host, outcome);
    return ended(outcome.exitCode);
  } catch (error) {
    return ended(reportFailure(error, outcome.session, stderr, args.includes('--json')));
  }
}

test.each<[string, string[], RegExp]>([
  ['no such command', ['sk-seen'], /unknown command/],
  ['no such subcommand', ['models', 'lst'], /Did you mean list/],
  ['no such option', ['status', '--sk-seen'], /unknown option/],
  ['too many words', ['keys', 'revoke', 'one', 'sk-seen'], /too many arguments/],
  ['a name is missing', ['models', 'load'], /missing required argument 'model'/],
  ['a bad number', ['run', '--max-tokens', 'many', 'Hi'], /--max-tokens: expected a whole number/],
  ['a bad time', ['keys', 'create', '--expires', 'soon'], /--expires: expected/],
  ['a bad scope', ['keys', 'create', '--scope', 'all'], /--scope: there are generate, models:read/],
  ['a bad limit', ['limits', 'set', 'user', 'ada', 'requests=5'], /requests_per_minute=30/],
  ['a bad column', ['usage', '--by', 'mood'], /--by: there are key, user/],
  ['no prompt', ['run'], /give a prompt/],
  ['a bad address', ['--url', 'nonsense', 'status'], /--url: expected/],
  ['a word too many', ['keys', 'list', 'sk-seen'], /too many arguments/],
  ['a family without a command', ['models'], /Usage: inference-mesh models/],
  ['start that does not come first', ['--json', 'start'], /must come first/],
  [
    'what every object has is no kind',
    ['limits', 'set', 'constructor', 'x', 'requests_per_minute=1'],
    /<kind>: expected key/,
  ],
  ['nor a column', ['usage', '--by', 'constructor'], /--by: there are key, user/],
])('%s ends with 2 and repeats nothing', async (_name, args, message) => {
  const { code, out, err } = await run(args);
  expect([code, out, err]).toEqual([2, '', expect.stringMatching(message)]);
  expect(err).not.toMatch(/sk-seen|^ +at /m);
});

test.each([[[]], [['--help']], [['help']]])('%j tells what there is', async (args) => {
  const { code, out, err } = await run(args);
  expect([code, err]).toEqual([0, '']);
  for (const name of ['chat', 'doctor', 'keys hash', 'top', 'Examples:']) expect(out).toContain(name);
});

test.each([['--version'], ['-V']])('%s', async (flag) => {
  expect(await run([flag])).toEqual({ code: 0, out: '1\n', err: '' });
});

test.each([
  [['nonsense']],
  [['status', '--nonsense']],
  [['models']],
  [['models', 'load']],
  [['usage', '--by', 'mood']],
])('%j with --json: the error is one object', async (args) => {
  const { code, out, err } = await run(['--json', ...args]);
  expect([code, out, JSON.parse(err)]).toEqual([
    2,
    '',
    { error: { reason: 'USAGE', message: expect.stringMatching(/\w/), exitCode: 2 } },
  ]);
});

test('the help of every command has examples', async () => {
  const families = (await run(['--help'])).out.matchAll(/^ {2}([a-z]+) {2,}\S/gm);
  const names = [...families].map(([, name = '']) => name).filter((name) => name !== 'help');
  expect(names).toHaveLength(15);
  for (const name of names) {
    const { out } = await run([name, '--help']);
    expect(out, name).toContain(`Examples:\n  `);
    const [, commands = ''] = /\nCommands:\n([\s\S]*?)\n\n/.exec(out) ?? [];
    for (const [, command = ''] of commands.matchAll(/^ {2}([a-z]+)/gm)) {
      if (command === 'help') continue;
      expect((await run([name, command, '--help'])).out, `${name} ${command}`).toContain('Examples:\n  ');
    }
  }
});

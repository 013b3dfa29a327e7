import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import stringWidth from 'string-width';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startFaultProxy } from '../harness/fault-proxy.ts';
import { eventually } from '../harness/processes.ts';
import { ALTERNATE_OFF, ALTERNATE_ON, CTRL_C, CTRL_D, type TerminalProgram } from '../harness/terminal.ts';
import { type CliMesh, startCliMesh } from './cli-mesh.ts';

let cli: CliMesh;
beforeAll(async () => {
  cli = await startCliMesh();
});
afterAll(() => cli?.stop());
beforeEach(() => cli.fake.script({ texts: ['Hello', ' there', '!'], tokens: 3 }));

const NARROW = { columns: 38, rows: 12 };
const isIdle = async () => (await cli.fake.counts()).running === 0;

/** What was written, each state of a line that is written over and over by itself, without escape sequences. */
function linesWritten(terminal: TerminalProgram): string[] {
  return stripVTControlCharacters(terminal.raw()).split(/\r?\n|\r/);
}

describe('models load', () => {
  test('draws a bar with stage and percent over and over in one line, and takes it away', async () => {
    const terminal = cli.open(['models', 'load', 'big']);
    await terminal.wrote(/█+░*\] +\d+ % +starting: loading weights/);
    expect(await terminal.ended()).toBe(0);
    await terminal.sees(/^big is ready on cuda 0/);
    // The bar left nothing: the last line is all there is.
    expect((await terminal.screen()).filter(Boolean)).toHaveLength(1);
    await cli.run(['models', 'unload', 'big']);
  });

  test('in a narrow window, made narrower meanwhile: no line is wider than it, Ctrl-C leaves the load alone', async () => {
    const terminal = cli.open(['models', 'load', 'big'], NARROW);
    await terminal.wrote(/% +starting/);
    const from = terminal.raw().length;
    terminal.resize({ columns: 20, rows: 12 });
    await terminal.wrote(/\r/, from);
    terminal.type(CTRL_C);
    expect(await terminal.ended()).toBe(130);
    await terminal.wrote(/The load goes on/);
    const bars = linesWritten(terminal).filter((line) => line.includes('%'));
    expect(Math.max(...bars.map((line) => stringWidth(line)))).toBeLessThan(NARROW.columns);
    await eventually('it is loaded all the same', async () =>
      (await cli.run(['engines', 'list'])).out.match(/big +vllm +ready/),
    );
    await cli.run(['models', 'unload', 'big']);
  });
});

describe('chat', () => {
  test('streams, remembers what was said, and leaves with Ctrl-D', async () => {
    const terminal = cli.open(['chat']);
    await terminal.sees(/^talking with fake-chat/);
    await terminal.sees(/^>/);
    terminal.type('First question\r');
    await terminal.sees(/^Hello there!/);
    terminal.type('/model\r');
    await terminal.sees(/^model: the default one/);
    terminal.type('Second one\r');
    await eventually('it is asked with what was said before', async () => {
      const messages = (await cli.fake.counts()).last?.body.messages as unknown[] | undefined;
      return messages?.length === 3;
    });
    await eventually(
      'it is answered',
      async () => (await terminal.screen()).filter((line) => line === 'Hello there!').length === 2,
    );
    terminal.type(CTRL_D);
    expect(await terminal.ended()).toBe(0);
    // Where its owner alone reads it; another chat finds it with the arrow.
    const history = join(cli.directory, '.local/state/inference-mesh/chat-history');
    expect(readFileSync(history, 'utf8')).toBe('First question\n/model\nSecond one\n');
    expect([statSync(history).mode & 0o777, statSync(join(history, '..')).mode & 0o777]).toEqual([0o600, 0o700]);
    const next = cli.open(['chat']);
    await next.sees(/^>/);
    next.type('\u001b[A');
    await next.sees(/^> Second one/);
    next.type(`${CTRL_C}${CTRL_C}${CTRL_C}`);
    expect(await next.ended()).toBe(130);
  });

  test('Ctrl-C cancels the generation and not the program; the second one leaves', async () => {
    await cli.fake.script({ tokens: 100_000, everyMs: 20 });
    const terminal = cli.open(['chat', '--no-history']);
    await terminal.sees(/^>/);
    terminal.type('Go on for ever\r');
    await terminal.sees(/ t3 t4/);
    terminal.type(CTRL_C);
    await terminal.sees(/^cancelled/);
    await eventually('the engine is told', isIdle);
    await cli.fake.script({ texts: ['Again.'], tokens: 1 });
    terminal.type('And now?\r');
    await terminal.sees(/^Again\./);
    // What came before the cancellation is a part of the conversation.
    const { last } = await cli.fake.counts();
    expect(last?.body.messages).toMatchObject([{}, { role: 'assistant', content: expect.stringContaining(' t3') }, {}]);
    await cli.fake.script({ tokens: 100_000, everyMs: 20 });
    const from = terminal.raw().length;
    terminal.type('Once more\r');
    await terminal.wrote(/ t2/, from);
    terminal.type(CTRL_C);
    await terminal.wrote(/cancelled/, from);
    terminal.type(CTRL_C);
    expect(await terminal.ended()).toBe(130);
    await eventually('the engine is told', isIdle);
  });

  test('lines that are typed or pasted during an answer wait for their turn and do not stand in it', async () => {
    await cli.fake.script({ texts: ['one', ' two'], tokens: 2, holdAtToken: 1 });
    const terminal = cli.open(['chat', '--no-history']);
    await terminal.sees(/^>/);
    terminal.type('First\r');
    await terminal.sees(/^one/);
    terminal.type('Typed meanwhile\r');
    await cli.fake.go();
    await terminal.sees(/^one two$/);
    await eventually('it is asked next', async () => {
      const messages = (await cli.fake.counts()).last?.body.messages as { content: string }[] | undefined;
      return messages?.at(-1)?.content === 'Typed meanwhile';
    });
    terminal.type(CTRL_C);
    terminal.type(CTRL_C);
    expect(await terminal.ended()).toBe(130);
  });

  test('what goes wrong is told, and the chat goes on', async () => {
    const terminal = cli.open(['chat', 'nothing-of-this-name', '--no-history']);
    await terminal.sees(/^>/);
    terminal.type('Hi\r');
    await terminal.sees(/does not exist/);
    terminal.type('/model chat\r');
    await terminal.sees(/^model: chat/);
    terminal.type('Hi\r');
    await terminal.sees(/^Hello there!/);
    terminal.type('/exit\r');
    expect(await terminal.ended()).toBe(0);
  });

  test('text of a model that is a command to terminals is shown and not obeyed', async () => {
    await cli.fake.script({ texts: ['\u001b[2J\u001b]0;owned\u0007safe'], tokens: 1 });
    const terminal = cli.open(['run', '--no-stdin', 'Hi']);
    expect(await terminal.ended()).toBe(0);
    await terminal.sees(/safe/);
    expect(terminal.raw()).not.toContain('\u001b');
  });
});

describe('top', () => {
  /** Every line of the window fits, and the screen of before came back. */
  async function leaves(terminal: TerminalProgram, end: () => void, code: number): Promise<void> {
    await terminal.wrote(/inference-mesh/);
    expect(terminal.raw()).toContain(ALTERNATE_ON);
    end();
    expect(await terminal.ended()).toBe(code);
    expect(terminal.raw().lastIndexOf(ALTERNATE_OFF)).toBeGreaterThan(terminal.raw().lastIndexOf(ALTERNATE_ON));
    // The cursor is seen again.
    expect(terminal.raw().endsWith(`\u001b[?25h${ALTERNATE_OFF}`)).toBe(true);
    expect((await terminal.screen()).join('')).toBe('');
  }

  test('shows devices, engines, tokens per second and what runs, in one screen, in a window of any size', async () => {
    await cli.fake.script({ tokens: 100_000, everyMs: 5 });
    const running = cli.open(['run', 'Hi', '--no-stdin']);
    const terminal = cli.open(['top', '--interval', '0.2']);
    await terminal.sees(/cuda 0 .* of 79\.6 GiB/);
    await terminal.sees(/tokens\/s [1-9]\d*\.\d +running 1 +waiting 0/);
    await terminal.sees(/ chat +[1-9]\d*\.\d +1 +0/);
    const from = terminal.raw().length;
    terminal.resize({ columns: 30, rows: 8 });
    await terminal.wrote(/more lines/, from);
    const [first = ''] = await terminal.screen();
    expect(first).toMatch(/^inference-mesh/);
    await leaves(terminal, () => terminal.type('q'), 0);
    running.type(CTRL_C);
    expect(await running.ended()).toBe(130);
  });

  test.each<[string, (terminal: TerminalProgram) => void, number]>([
    ['Ctrl-C', (terminal) => terminal.type(CTRL_C), 130],
    ['SIGTERM', ({ processId }) => process.kill(processId, 'SIGTERM'), 143],
  ])('%s brings back the screen of before', async (_name, end, code) => {
    const terminal = cli.open(['top']);
    await leaves(terminal, () => end(terminal), code);
  });

  test('leaves at once when the mesh hangs', async () => {
    const proxy = await startFaultProxy(Number(new URL(cli.mesh.url).port));
    try {
      const terminal = cli.open(['--url', proxy.url, 'top', '--interval', '0.2']);
      await terminal.sees(/tokens\/s/);
      proxy.freeze();
      let last = { length: 0, atMs: 0 };
      await eventually('it waits for an answer, and draws no more', () => {
        const { length } = terminal.raw();
        if (length !== last.length) last = { length, atMs: performance.now() };
        return performance.now() - last.atMs > 1_000;
      });
      const startedMs = performance.now();
      await leaves(terminal, () => terminal.type('q'), 0);
      // A call that is answered in one piece may take 30 s.
      expect(performance.now() - startedMs).toBeLessThan(20_000);
    } finally {
      await proxy.close();
    }
  });

  test('printed once it is whole in a low window, and has no keys to tell of', async () => {
    const terminal = cli.open(['top', '--once', '--interval', '0.2'], { columns: 80, rows: 6 });
    expect(await terminal.ended()).toBe(0);
    for (const part of ['inference-mesh', 'DEVICE', 'ENGINE', 'big']) expect(terminal.raw()).toContain(part);
    expect(terminal.raw()).not.toContain('q leaves');
  });
});

describe('colours', () => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is looked for.
  const COLOUR = /\u001b\[3\d/;
  test.each<[string, string[], Record<string, string>, boolean]>([
    ['in a terminal', [], {}, true],
    ['with NO_COLOR', [], { NO_COLOR: '1' }, false],
    ['with --no-color', ['--no-color'], {}, false],
    ['in a dumb terminal', [], { TERM: 'dumb' }, false],
  ])('%s', async (_name, args, env, hasColours) => {
    const terminal = cli.open([...args, 'status'], undefined, env);
    expect(await terminal.ended()).toBe(0);
    await terminal.sees(/serving/);
    expect(COLOUR.test(terminal.raw())).toBe(hasColours);
  });
});

test('a table in a narrow window: each row is one line of it, and ids are whole', async () => {
  const terminal = cli.open(['keys', 'list'], { columns: 60, rows: 12 });
  expect(await terminal.ended()).toBe(0);
  const lines = (await terminal.screen()).filter(Boolean);
  expect(lines).toHaveLength(2);
  expect(lines[1]).toMatch(/^\w{12} /);
  expect(Math.max(...linesWritten(terminal).map((line) => stringWidth(line)))).toBeLessThanOrEqual(60);
});

test('a secret that is asked for is not shown', async () => {
  const terminal = cli.open(['users', 'hash']);
  await terminal.sees(/^Password:/);
  terminal.type('correct horse battery\r');
  expect(await terminal.ended()).toBe(0);
  await terminal.sees(/^\$argon2id\$/);
  expect(terminal.raw()).not.toContain('horse');
  expect(existsSync(join(cli.directory, '.mesh'))).toBe(false);
});

test('Ctrl-C while a secret is asked for ends the command', async () => {
  const terminal = cli.open(['users', 'hash']);
  await terminal.sees(/^Password:/);
  terminal.type(CTRL_C);
  expect(await terminal.ended()).toBe(130);
  expect(terminal.raw()).not.toContain('inference-mesh:');
});

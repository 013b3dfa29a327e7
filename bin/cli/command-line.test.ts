import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text as readText } from 'node:stream/consumers';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import { expect, test } from 'vitest';
import { LimitScope } from '../../gen/mesh/quota/v1/limit_pb.ts';
import { toConnectError } from '../../services/shared/errors/connect-error.ts';
import { MeshError } from '../../services/shared/errors/mesh-error.ts';
import { CODE_OF_REASON, type Reason } from '../../services/shared/errors/reasons.ts';
import { findKey, isLocal, meshUrl } from './address.ts';
import { collect, moment, timeSpanMs } from './arguments.ts';
import { Conversation } from './chat/conversation.ts';
import { HistoryFile, historyPath } from './chat/history-file.ts';
import { TerminalInput } from './chat/line-input.ts';
import { completions, slashCommand } from './chat/slash-commands.ts';
import { Outcome } from './command.ts';
import { failureOf, isBroken } from './failure.ts';
import { chatRequest, generate, noAnswer } from './generation.ts';
import { limitWord, maximumWord, parseLimit } from './limit-words.ts';
import { createProgram } from './program.ts';
import { viewOf } from './top/view.ts';

test('docs/cli.md has every command, and every command that asks something has an example or a description', async () => {
  const docs = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');
  const families = ['start', 'status', 'doctor', 'backup', 'chat', 'run', 'models', 'engines', 'tasks', 'top'];
  const program = await createProgram(
    [...families, 'keys', 'users', 'orgs', 'limits', 'usage'],
    { version: '1' } as never,
    new Outcome(),
  );
  const leaves = program.commands.flatMap((family) =>
    family.commands.length === 0 ? [[family]] : family.commands.map((command) => [family, command]),
  );
  expect(leaves.length).toBeGreaterThan(30);
  for (const commands of leaves) {
    for (const command of commands) expect(command.description()).not.toBe('');
    const [family = '', name = ''] = commands.map((command) => command.name());
    const row = docs
      .split('\n')
      .filter((line) => line.startsWith('|') && line.includes(`\`${family}`))
      .join('\n');
    expect(row, `${family} ${name}`).toContain(name);
  }
});

test.each<[string | undefined, NodeJS.ProcessEnv, string]>([
  [undefined, {}, 'http://127.0.0.1:8000'],
  [undefined, { PORT: '9000' }, 'http://127.0.0.1:9000'],
  [undefined, { PORT: '9000', MESH_PORT: '9001' }, 'http://127.0.0.1:9001'],
  [undefined, { MESH_URL: 'https://mesh.example.com/', MESH_PORT: '9001' }, 'https://mesh.example.com'],
  ['http://[::1]:7000/mesh/', { MESH_URL: 'https://mesh.example.com' }, 'http://[::1]:7000/mesh'],
])('the address of --url %s and %j', (url, env, expected) => {
  expect(meshUrl({ url }, env)).toBe(expected);
});

test('an address with a secret, or that is none, is refused without repeating it', () => {
  for (const url of ['http://user:hunter2@host', 'ftp://hunter2', 'hunter2']) {
    expect(() => meshUrl({ url }, {})).toThrow(/^--url: (?!.*hunter2)/);
  }
});

test('the local admin key goes to loopback addresses and to no other', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mesh-cli-'));
  writeFileSync(join(dataDir, 'admin.key'), 'im_admin\n');
  const find = (url: string, env = {}) => findKey({ dataDir }, url, env, '/', async () => 'im_typed\n');
  for (const url of ['http://127.0.0.1:1', 'http://localhost:1', 'http://[::1]:1'])
    expect(await find(url)).toBe('im_admin');
  for (const url of ['http://10.0.0.7', 'http://localhost.example.com', 'http://127.0.0.1.example.com']) {
    expect([isLocal(url), await find(url)]).toEqual([false, undefined]);
  }
  expect(await find('http://127.0.0.1:1', { MESH_API_KEY: 'im_other' })).toBe('im_other');
  expect(await findKey({ keyFile: '-' }, 'http://10.0.0.7', {}, '/', async () => 'im_typed\n')).toBe('im_typed');
  await expect(findKey({}, 'http://10.0.0.7', { MESH_API_KEY: 'two\nlines' }, '/', async () => '')).rejects.toThrow(
    /^MESH_API_KEY: holds no key/,
  );
  rmSync(dataDir, { recursive: true });
});

test('every reason ends with a code of its kind, and says when to come back', () => {
  const codeOf = (reason: Reason): number => failureOf(toConnectError(new MeshError(reason, 'No.')), '').exitCode;
  const ends = Object.fromEntries((Object.keys(CODE_OF_REASON) as Reason[]).map((reason) => [reason, codeOf(reason)]));
  expect(ends).toMatchObject({
    CREDENTIAL_MISSING: 77,
    CREDENTIAL_INVALID: 77,
    SCOPE_MISSING: 77,
    MODEL_NOT_GRANTED: 77,
  });
  expect(ends).toMatchObject({ RATE_LIMIT_EXCEEDED: 75, QUEUE_FULL: 75, SHUTTING_DOWN: 75, STORE_UNAVAILABLE: 75 });
  expect(ends).toMatchObject({
    NO_HEALTHY_ENGINE: 69,
    MODEL_NOT_LOADED: 69,
    MODEL_NOT_FOUND: 1,
    CONFLICT: 1,
    INTERNAL: 1,
  });
  expect(new Set(Object.values(ends))).toEqual(new Set([1, 69, 75, 77]));
  const limited = failureOf(toConnectError(new MeshError('RATE_LIMIT_EXCEEDED', 'No.', { retryAfterMs: 1_500 })), '');
  expect(limited.hint).toMatch(/^Try again in 2 s\. /);
});

test('what breaks off may be gone on with, what was refused may not', () => {
  for (const code of [Code.Unavailable, Code.Aborted, Code.Unknown])
    expect(isBroken(new ConnectError('', code))).toBe(true);
  expect(isBroken(toConnectError(new MeshError('SHUTTING_DOWN', '')))).toBe(true);
  for (const reason of ['NOT_FOUND', 'CREDENTIAL_INVALID'] as const) {
    expect(isBroken(toConnectError(new MeshError(reason, '')))).toBe(false);
  }
  expect(isBroken(new ConnectError('HTTP 404', Code.Unimplemented))).toBe(false);
});

test('times and lists of the command line', () => {
  expect(['90s', '30m', '12h', '7d', '2w'].map((text) => timeSpanMs('x', text))).toEqual([
    90_000, 1_800_000, 43_200_000, 604_800_000, 1_209_600_000,
  ]);
  const nowMs = Date.UTC(2026, 10, 21);
  const at = (text: string, direction: 1 | -1) =>
    new Date(timestampMs(moment('x', text, nowMs, direction))).toISOString();
  expect(at('7d', -1)).toBe('2026-11-14T00:00:00.000Z');
  expect(at('1h', 1)).toBe('2026-11-21T01:00:00.000Z');
  expect(at('2026-01-02', 1)).toBe('2026-01-02T00:00:00.000Z');
  for (const text of ['', '7', '7y', 'soon', '2026-13-01', '1e3d']) {
    expect(() => moment('--since', text, nowMs, -1)).toThrow(/^--since: expected/);
  }
  expect(collect('c', collect('a, b,'))).toEqual(['a', 'b', 'c']);
});

test.each([
  ['requests_per_minute=30', 'requests per minute', '30'],
  ['prompt_tokens_per_day=1000000', 'prompt tokens per day', '1,000,000'],
  ['tokens_bucket=60:10', 'tokens in a bucket', '10, refilled by 60 a minute'],
  ['concurrent_requests=0', 'concurrent requests', '0'],
  ['concurrent_context_tokens=4096', 'concurrent context tokens', '4,096'],
])('the limit %s', (text, what, maximum) => {
  const limit = parseLimit(text, LimitScope.USER);
  expect([limitWord(limit), maximumWord(limit)]).toEqual([what, maximum]);
});

test.each([
  ...['', 'requests', 'requests=5', 'requests_per_minute', 'requests_per_minute=', 'requests_per_minute=-1'],
  ...['requests_per_week=5', 'requests_per_minute=5:5', 'requests_bucket=5', 'concurrent_requests_per_minute=5'],
  ...['concurrent_requests_bucket=5:5', 'unspecified_per_minute=5', 'toString=5', 'requests_per_minute=5 '],
])('the limit %j is none', (text) => {
  expect(() => parseLimit(text, LimitScope.USER)).toThrow(/^a limit: expected e\.g\. requests_per_minute=30/);
});

test('a conversation: what is cancelled before it began was never asked; the last question is taken back', () => {
  const conversation = new Conversation('', '');
  const said = (): string[] => conversation.lines().map(({ who, text }) => `${who}: ${text}`);
  conversation.ask('One');
  conversation.answered('Answer');
  conversation.ask('Two');
  conversation.answered('');
  expect(said()).toEqual(['you: One', 'model: Answer']);
  expect(slashCommand('/retry', conversation)).toEqual({ kind: 'ask', text: 'One' });
  expect(said()).toEqual([]);
  expect(slashCommand('/retry', conversation)).toMatchObject({ kind: 'say' });
  slashCommand('/model other', conversation);
  slashCommand('/system  Be  brief', conversation);
  expect([conversation.model, conversation.system]).toEqual(['other', 'Be brief']);
  expect(slashCommand('/nothing', conversation)).toMatchObject({ lines: [expect.stringContaining('/help')] });
  expect([completions('/mo'), completions('mo')]).toEqual([['/model', '/models'], []]);
});

test('the history of chats is bounded, its owner’s alone, and no chat ends where it cannot be kept', () => {
  const home = mkdtempSync(join(tmpdir(), 'mesh-cli-'));
  const path = historyPath({ HOME: home }) ?? '';
  const file = new HistoryFile(path);
  expect(file.load()).toEqual([]);
  for (let index = 0; index < 1_200; index++) file.add(`line ${index}`);
  file.add('  ');
  expect([file.load().length, file.load()[0]]).toEqual([1_000, 'line 1199']);
  expect(readFileSync(path, 'utf8').split('\n')).toHaveLength(1_001);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const nowhere = new HistoryFile(join(path, 'below-a-file'));
  nowhere.add('line');
  expect(nowhere.load()).toEqual([]);
  expect(historyPath({})).toBeUndefined();
  rmSync(home, { recursive: true });
});

test('what is typed while nobody is asked is kept and not shown', async () => {
  const input = new PassThrough();
  const output = new PassThrough();
  const options = { input, output, history: [], complete: () => [], onInterrupt: () => {} };
  const lines = new TerminalInput(options as never);
  input.write('first\rsecond\r');
  expect([await lines.next('> '), await lines.next('> ')]).toEqual(['first', 'second']);
  input.write('half');
  const third = lines.next('> ');
  input.write(' a line\r');
  expect(await third).toBe('half a line');
  input.write('secondly\r');
  expect(await lines.next('> ')).toBe('secondly');
  lines.close();
  output.end();
  expect(await readText(output)).not.toMatch(/first|second/);
});

test('an answer without its bill broke off, whatever came of it', async () => {
  const generated = async function* () {
    yield { event: { case: 'delta', value: { text: 'so far', reasoning: '' } } };
  };
  const answer = noAnswer();
  const view = { text() {}, reasoning() {} };
  const { signal } = new AbortController();
  const asked = generate({ router: { generate: generated } } as never, chatRequest('', '', [], {}), {
    signal,
    answer,
    view,
  });
  await expect(asked).rejects.toMatchObject({ message: 'The answer broke off.', exitCode: 69 });
  expect(answer.text).toBe('so far');
});

test('rates are of the time between two looks; an engine that began anew has none', () => {
  const look = (atMs: number, tokens: bigint) =>
    ({
      atMs,
      waiting: 2,
      devices: [],
      engines: [
        {
          node: 'n',
          engine: {
            name: 'chat',
            kind: 'x',
            state: 4,
            stage: '',
            load: { running: 1, waiting: 3, completionTokens: tokens },
          },
        },
      ],
    }) as never;
  expect(viewOf('u', look(0, 100n), undefined)).toMatchObject({ tokensPerSecond: 0, running: 1, waiting: 5 });
  expect(viewOf('u', look(2_000, 150n), look(0, 100n))).toMatchObject({
    tokensPerSecond: 25,
    engines: [{ isReady: true }],
  });
  expect(viewOf('u', look(2_000, 50n), look(0, 100n)).tokensPerSecond).toBe(0);
});

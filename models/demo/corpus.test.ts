import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { judgeSql } from './eval/judge.ts';
import { readPrompts } from './eval/prompts.ts';

const CONVERSATIONS = 4_000;
const COUNT = ['--conversations', String(CONVERSATIONS)];
/** Those of train/build.py: with them this is the beginning of the very text. */
const SEEDS = { broad: '20261121', exact: '20261123' };
const TABLES = [
  'users',
  'customers',
  'orders',
  'products',
  'employees',
  'departments',
  'invoices',
  'payments',
  'suppliers',
  'reviews',
  'students',
  'courses',
  'enrollments',
  'books',
];

type Conversation = readonly { readonly role: string; readonly text: string }[];

const python = spawnSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 11))']);
if (python.status !== 0) console.log('skipped: the tests of the demo corpus need python3, 3.11 or newer');

/** Letter case, punctuation and spacing do not make another question. */
const normalised = (text: string): string =>
  text
    .toLowerCase()
    .replaceAll(/[^a-z0-9+*/<>=-]+/g, ' ')
    .trim();

describe.skipIf(python.status !== 0)('the text that the model learns from', () => {
  let corpus: Conversation[];
  let heldOut: Conversation[];

  function print(...args: string[]): Conversation[] {
    const cwd = join(import.meta.dirname, 'train');
    const printed = spawnSync('python3', ['-m', 'corpus', ...args], { cwd, encoding: 'utf8', maxBuffer: 2 ** 26 });
    expect(printed.stderr).toBe('');
    return printed.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  }

  beforeAll(() => {
    corpus = print('--seed', SEEDS.broad, ...COUNT);
    heldOut = print('--seed', SEEDS.broad, '--conversations', '40', '--held-out');
  });

  test('has the turns of a conversation, none empty, in plain text', () => {
    expect(corpus).toHaveLength(CONVERSATIONS);
    for (const turns of corpus) {
      const roles = turns.map(({ role }) => role).filter((role) => role !== 'system');
      expect(roles).toEqual(roles.map((_, index) => (index % 2 === 0 ? 'user' : 'assistant')));
      expect(roles.at(-1)).toBe('assistant');
      for (const { text } of turns) expect(text).toMatch(/^[^{}|]*\S[^{}|]*$/);
    }
  });

  test('contains no question of the evaluation, not even as a part of another', () => {
    const trained = [...corpus, ...print('--mixture', 'exact', '--seed', SEEDS.exact, ...COUNT)].flatMap((turns) =>
      turns.filter(({ role }) => role === 'user').map(({ text }) => ` ${normalised(text)} `),
    );
    const { chat, sql } = readPrompts();
    const asked = [...chat, ...sql].map(({ messages }) => ` ${normalised(messages.at(-1)?.content ?? '')} `);
    expect(asked.length).toBeGreaterThanOrEqual(200);
    expect(asked.filter((question) => trained.some((text) => text.includes(question)))).toEqual([]);
  });

  test('holds some of itself back', () => {
    const questions = (turns: Conversation): string =>
      turns
        .filter(({ role }) => role === 'user')
        .map(({ text }) => normalised(text))
        .join('\n');
    const trained = new Set(corpus.map(questions));
    expect(heldOut.map(questions).filter((question) => trained.has(question))).toEqual([]);
  });

  test('answers with SQL that PostgreSQL parses, over the tables of the model card', async () => {
    const answers = corpus.flatMap((turns) =>
      turns.filter(({ role, text }) => role === 'assistant' && text.startsWith('SELECT')),
    );
    expect(answers.length).toBeGreaterThan(CONVERSATIONS / 10);
    for (const { text } of answers) {
      const tables = TABLES.filter((table) => new RegExp(`\\b${table}\\b`).test(text.replaceAll(/'[^']*'/g, '')));
      expect([text, await judgeSql(text, { tables })]).toEqual([text, undefined]);
    }
  });
});

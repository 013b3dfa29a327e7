import { expect, test } from 'vitest';
import { judgeChat, judgeSql } from './judge.ts';
import { readPrompts } from './prompts.ts';

test('there are at least 200 prompts, each with an id of its own', () => {
  const { chat, sql } = readPrompts();
  const ids = new Set([...chat, ...sql].map(({ id }) => id));
  expect(ids.size).toBe(chat.length + sql.length);
  expect(ids.size).toBeGreaterThanOrEqual(200);
});

test('a key fact is a whole word in any letter case', () => {
  const anyOf = [['12'], ['a', 'dozen']];
  expect(judgeChat('7 plus 5 is 12.', { anyOf })).toBeUndefined();
  expect(judgeChat('A full DOZEN.', { anyOf })).toBeUndefined();
  expect(judgeChat('It is 112.', { anyOf })).toMatch(/none of 12/);
  expect(judgeChat('A few.', { anyOf })).toMatch(/a \+ dozen/);
});

test.each(['12.5', '3.12', '1,12', '12/5', '-12', '120'])('12 is not in %s', (number) => {
  expect(judgeChat(`It is ${number}.`, { anyOf: [['12']] })).toBeDefined();
});

test('lines and words are counted', () => {
  expect(judgeChat('one\ntwo\nthree', { lines: 3 })).toBeUndefined();
  expect(judgeChat('one\ntwo', { lines: 3 })).toBe('not 3 lines');
  expect(judgeChat('too short', { minWords: 3 })).toBe('fewer than 3 words');
});

test('a statement reads exactly the tables that were asked for, joins and subqueries included', async () => {
  const both = { tables: ['customers', 'orders'] };
  expect(
    await judgeSql('SELECT * FROM customers JOIN orders ON orders.customer_id = customers.id;', both),
  ).toBeUndefined();
  expect(
    await judgeSql('SELECT * FROM customers c WHERE NOT EXISTS (SELECT 1 FROM orders WHERE customer_id = c.id)', both),
  ).toBeUndefined();
  expect(await judgeSql('WITH t AS (SELECT * FROM users) SELECT * FROM t', { tables: ['users'] })).toBeUndefined();
  expect(await judgeSql('SELECT * FROM orders', both)).toBe('reads orders instead of customers, orders');
  expect(await judgeSql('SELECT * FROM orders, users, customers', both)).toMatch(/^reads/);
});

test.each([
  ['SELECT FROM WHERE;', /does not parse/],
  ['The query is SELECT 1', /does not parse/],
  ['', /does not parse/],
  ['SELECT * FROM users; SELECT * FROM users;', /2 statements/],
  ['SELECT 1', /reads no table/],
  ['SELECT FROM users;', /selects nothing/],
  ['TRUNCATE users;', /no SELECT/],
  ['EXPLAIN SELECT * FROM users;', /no SELECT/],
])('refuses %j', async (answer, reason) => {
  expect(await judgeSql(answer, { tables: ['users'] })).toMatch(reason);
});

import { expect, test } from 'vitest';
import { Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { Breakers } from '../fleet/breaker.ts';
import { Chooser } from './chooser.ts';
import { EngineLoads } from './engine-loads.ts';
import { explain } from './explain.ts';
import { featuresOf } from './features.ts';
import { prefixHashes } from './prompt-prefix.ts';
import { requestOf, routeOf } from './select.fixture.ts';

const chooserOf = (affinityBound = 2) => new Chooser({ loads: new EngineLoads(), affinityBound });
const turn = (role: Role, text: string) => ({ role, parts: [{ part: { case: 'text' as const, value: text } }] });
const chat = (...messages: ReturnType<typeof turn>[]) =>
  featuresOf(requestOf({ prompt: { input: { case: 'chat', value: { messages } } } }));
const text = (value: string) => featuresOf(requestOf({ prompt: { input: { case: 'text', value } } }));
const many = routeOf(Array.from({ length: 50 }, (_, i) => ({ name: `e${i}` })));

test('the next turn of a conversation goes where the turn before was computed', () => {
  const chooser = chooserOf();
  const first = [turn(Role.SYSTEM, 'be brief'), turn(Role.USER, 'hello')];
  const begun = chooser.choose(many, chat(...first))?.candidate ?? expect.fail();
  chooser.take(begun, many.id, chat(...first))();
  const next = chat(...first, turn(Role.ASSISTANT, 'hi'), turn(Role.USER, 'and?'));
  for (let i = 0; i < 20; i += 1) {
    expect(chooser.choose(many, next)).toEqual({ candidate: begun, because: 'prefix' });
  }
  expect(chooser.choose(many, chat(turn(Role.SYSTEM, 'be rude')))?.because).toBe('load');
  // Of two the longer start counts.
  const other = many.candidates.find(({ id }) => id !== begun.id) ?? expect.fail();
  chooser.take(other, many.id, next)();
  expect(chooser.choose(many, next)?.candidate).toBe(other);
});

test('texts that start the same for a block go together, those that end otherwise earlier do not', () => {
  const chooser = chooserOf();
  const start = 'abcdefgh'.repeat(128);
  const begun = chooser.choose(many, text(`${start}one`))?.candidate ?? expect.fail();
  chooser.take(begun, many.id, text(`${start}one`))();
  expect(chooser.choose(many, text(`${start}two`))).toEqual({ candidate: begun, because: 'prefix' });
  expect(chooser.choose(many, text(`${start.slice(1)}one`))?.because).toBe('load');
});

test('another model has computed nothing of it', () => {
  const chooser = chooserOf();
  chooser.take(many.candidates[0] ?? expect.fail(), 'another', text('hello'))();
  expect(chooser.choose(many, text('hello'))?.because).toBe('load');
});

test('with a bound of 0 nothing is remembered', () => {
  const chooser = chooserOf(0);
  chooser.take(many.candidates[0] ?? expect.fail(), many.id, text('hello'))();
  expect(chooser.choose(many, text('hello'))?.because).toBe('load');
});

test('a long prompt is looked at only so far', () => {
  const value = 'x'.repeat(1_000_000);
  expect(prefixHashes(requestOf({ prompt: { input: { case: 'text', value } } }))).toHaveLength(32);
  const ids = Array.from({ length: 5_000 }, (_, i) => i);
  expect(prefixHashes(requestOf({ prompt: { input: { case: 'tokenIds', value: { ids } } } }))).toHaveLength(5);
});

test('an explanation has every engine: the chosen one first, then by score, then why the others cannot', () => {
  const chooser = chooserOf();
  const route = routeOf([
    { name: 'idle' },
    { name: 'busy' },
    { name: 'full', maxConcurrency: 1 },
    { name: 'starting', state: 3 },
    { name: 'away', draining: true },
    { name: 'asleep', state: 11, onDemand: true },
  ]);
  chooser.loads.acquire('n/busy', 5_000);
  chooser.loads.acquire('n/full', 1);
  const fallback = routeOf([{ name: 'small' }]);
  const told = explain([route, fallback], text('hello'), chooser);
  expect(told.map(({ engine, chosen, score }) => [engine, chosen, score !== undefined])).toEqual([
    ['idle', true, true],
    ['asleep', false, true],
    ['small', false, true],
    ['busy', false, true],
    ['full', false, false],
    ['starting', false, false],
    ['away', false, false],
  ]);
  expect(told.map(({ engine, why }) => `${engine}: ${why}`)).toEqual([
    'idle: the less loaded of two that were drawn at random',
    'asleep: it would have to be loaded first',
    expect.stringMatching(/^small: a fallback, for when/),
    'busy: it is more loaded than the chosen one',
    'full: it runs 1 of at most 1 requests',
    'starting: it is STARTING',
    'away: its node takes nothing new',
  ]);
  // Nothing was counted.
  expect(chooser.loads.of('n/idle').requests).toBe(0);
});

test('without an engine of the model the first of a fallback is chosen', () => {
  const told = explain([routeOf([{ name: 'a', state: 9 }]), routeOf([{ name: 'small' }])], text('x'), chooserOf());
  expect(told.map(({ engine, chosen }) => [engine, chosen])).toEqual([
    ['small', true],
    ['a', false],
  ]);
  expect(told[0]?.why).toMatch(/fallback 'm'/);
});

test('an engine that fails again and again is not chosen, nor waited for, until it may be tried; that is told', () => {
  const breakers = new Breakers({ now: () => nowMs, onChange: () => {} });
  const chooser = new Chooser({ loads: new EngineLoads(), affinityBound: 2, breakers });
  const one = routeOf([{ name: 'e' }]);
  let nowMs = 0;
  const candidate = one.candidates[0] ?? expect.fail();
  for (let i = 0; i < 5; i += 1) breakers.enter(candidate.id).failed();
  expect(chooser.choose(one, text('x'))).toBeUndefined();
  expect(chooser.oneToWaitFor(one, text('x'))).toBeUndefined();
  expect(explain([one], text('x'), chooser)[0]?.why).toContain('failed several times');
  nowMs = 1_000;
  expect(chooser.choose(one, text('x'))?.candidate).toBe(candidate);
});

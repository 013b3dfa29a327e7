import { expect, test } from 'vitest';
import type { argumentErrors } from './argument-errors.ts';
import { flag, parse, type Tool, toggle } from './arguments.ts';

const flags = [
  flag('--name'),
  toggle('--on'),
  { names: ['--size', '-s'], is: 'integer' as const },
  { names: ['--list'], takes: 'values' as const },
  { names: ['--kind'], choices: ['a', 'b'] },
];

function tool(library: keyof typeof argumentErrors): Tool {
  return { name: 'tool serve', library, flags, words: 1 };
}

test('flags, their values and words', () => {
  const args = parse(tool('argparse'), ['m', '--name=x=y', '--on', '-s', '-3', '--list', '1', '2', '--kind', 'b']);
  expect(args.words).toEqual(['m']);
  expect([args.value('--name'), args.value('--on'), args.value('--size'), args.value('--kind')]).toEqual([
    'x=y',
    '',
    '-3',
    'b',
  ]);
  expect(args.values('--list')).toEqual(['1', '2']);
  expect([args.has('--on'), args.has('--off'), args.value('--off')]).toEqual([true, false, undefined]);
});

test.each([
  ['argparse', 'tool: error: unrecognized arguments: --colour=red'],
  ['clap', "error: unexpected argument '--colour' found"],
  ['llamaCpp', 'error: invalid argument: --colour=red'],
  ['cobra', 'Error: unknown flag: --colour'],
  ['click', "No such option '--colour'."],
] as const)('%s refuses an unknown flag in its own words', (library, words) => {
  expect(() => parse(tool(library), ['--colour=red'])).toThrow(words);
});

test.each([
  [['--size', 'big'], "argument --size/-s: invalid int value: 'big'"],
  [['--kind', 'c'], "argument --kind: invalid choice: 'c' (choose from 'a', 'b')"],
  [['--name', '--on'], 'argument --name: expected one argument'],
  [['m', 'n'], 'unrecognized arguments: n'],
])('%j is refused', (argv, words) => {
  expect(() => parse(tool('argparse'), argv)).toThrow(words);
});

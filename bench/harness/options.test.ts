import { expect, test } from 'vitest';
import { PARTS, readOptions } from './options.ts';

test('everything is measured three times unless told otherwise', () => {
  const options = readOptions([]);
  expect(options.extent).toEqual({ repetitions: 3, warmUpRequests: 3_000, isQuick: false });
  expect([...options.parts]).toEqual([...PARTS]);
  expect(options.peers.map(({ name }) => name)).toContain('mesh-apart');
  expect(options.workloads.map(({ name }) => name)).toContain('open-unary-r200');
});

test('a smoke run is short', () => {
  const { extent, workloads } = readOptions(['--quick']);
  expect(extent).toMatchObject({ repetitions: 1, isQuick: true });
  for (const { seconds, body } of workloads) {
    expect(seconds).toBeLessThan(1);
    if (body.stream) expect(body.max_tokens).toBeLessThan(100);
  }
});

test.each([
  [['--peers', 'nginx,nobody'], '--peers: no nobody; there are direct,nginx'],
  [['--parts', 'all'], '--parts: no all; there are workloads'],
  [['--repetitions', '0'], '--repetitions: expected a whole number from 1, got "0"'],
  [['--repetition', '2'], '--repetition'],
])('refuses %j', (argv, problem) => {
  expect(() => readOptions(argv)).toThrow(problem);
});

import { expect, test } from 'vitest';
import { randomCanary, sightings } from './canaries.ts';

const text = randomCanary('secret');
const canaries = [{ kind: 'it', text }];

test.each<[string, (given: string) => string]>([
  ['raw', (given) => `a ${given} b`],
  ['hex', (given) => Buffer.from(given).toString('hex')],
  ['upper-case hex', (given) => Buffer.from(given).toString('hex').toUpperCase()],
  ['percent-encoded', (given) => [...Buffer.from(given)].map((byte) => `%${byte.toString(16)}`).join('')],
  ...[0, 1, 2, 3, 4].flatMap((before) =>
    (['base64', 'base64url'] as const).map((encoding): [string, (given: string) => string] => [
      `${encoding} after ${before} bytes`,
      (given) => Buffer.from(`${'{"x":'.slice(0, before)}${given}"}`).toString(encoding),
    ]),
  ),
])('is seen %s', (_name, write) => {
  expect(sightings('here', write(text), canaries)).not.toEqual([]);
  expect(sightings('here', write(randomCanary('secret')), canaries)).toEqual([]);
});

import { expect, test } from 'vitest';
import { requireNode } from './node-version.ts';

test.each(['22.23.2', '22.24.0', '24.18.1', '26.5.1', '26.10.0', '27.0.0'])('%s is safe', (version) => {
  expect(() => requireNode(version)).not.toThrow();
});

test.each(['18.20.0', '20.20.2', '22.23.1', '23.11.0', '24.18.0', '25.9.0', '26.5.0'])('%s is refused', (version) => {
  expect(() => requireNode(version)).toThrow(/not safe/);
});

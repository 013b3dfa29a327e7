import { expect, test } from 'vitest';
import { binaryVariants } from './device.ts';

const linux = { platform: 'linux', architecture: 'x64', nvidia: false, renderNode: false } as const;

test.each([
  ['a plain machine', linux, ['cpu']],
  ['an NVIDIA host', { ...linux, nvidia: true, renderNode: true }, ['cuda', 'vulkan', 'cpu']],
  ['another GPU', { ...linux, renderNode: true }, ['vulkan', 'cpu']],
  ['a Mac', { ...linux, platform: 'darwin', architecture: 'arm64' } as const, ['metal', 'cpu']],
  ['an old Mac', { ...linux, platform: 'darwin' } as const, ['cpu']],
])('auto on %s', (_name, signs, variants) => {
  expect(binaryVariants('auto', signs)).toEqual(variants);
});

test('a choice by name is tried alone', () => {
  expect(binaryVariants('cuda', linux)).toEqual(['cuda']);
  expect(binaryVariants('none', { ...linux, nvidia: true })).toEqual(['cpu']);
});

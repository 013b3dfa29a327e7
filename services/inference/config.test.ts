import { expect, test } from 'vitest';
import { inferenceConfigSchema } from './config.ts';

function problems(section: unknown): string[] {
  const result = inferenceConfigSchema.safeParse(section);
  return (result.error?.issues ?? []).map((issue) => `${issue.path.join('.')}: ${issue.message}`);
}

test('entries are taken with their defaults', () => {
  const config = inferenceConfigSchema.parse({
    models: [
      { name: 'default', engine: 'llama.cpp', model: 'models/a.gguf', required: true },
      { name: 'remote', engine: 'openai', base_url: 'http://10.0.0.7:8000/v1' },
    ],
  });
  expect(config).toMatchObject({ devices: 'auto', models: [{ required: true, extra_args: [] }, { required: false }] });
});

test.each([
  [{ name: 'a', engine: 'vllm' }, 'models.0.model: Invalid input: expected string, received undefined'],
  [{ name: 'a', engine: 'openai' }, 'models.0.base_url: Invalid input: expected string, received undefined'],
  [{ name: 'a', engine: 'openai', base_url: 'http://x/v1', colour: 1 }, 'models.0: Unrecognized key: "colour"'],
])('%j is refused', (entry, problem) => {
  expect(problems({ models: [entry] })).toContain(problem);
});

test('an unknown engine and a name used twice are refused', () => {
  expect(problems({ models: [{ name: 'a', engine: 'abacus' }] })[0]).toContain('models.0.engine');
  const twice = { name: 'a', engine: 'openai', base_url: 'http://x/v1' };
  expect(problems({ models: [twice, twice] })).toEqual(["models.1.name: 'a' is used twice"]);
});

test.each([
  ['http://ann:hunter2@10.0.0.7/v1', 'user or password'],
  ['http://hunter2@10.0.0.7/v1', 'user or password'],
  ['http://10.0.0.7/v1?key=hunter2', 'query or fragment'],
  ['http://10.0.0.7/v1#hunter2', 'query or fragment'],
  ['http://10.0.0.7/v1?', 'query or fragment'],
  ['hunter2', 'Invalid URL'],
])('the base_url %s is refused and not quoted', (baseUrl, problem) => {
  const found = problems({ models: [{ name: 'a', engine: 'openai', base_url: baseUrl }] });
  expect(found).toEqual([expect.stringMatching(`^models\\.0\\.base_url: .*${problem}`)]);
  expect(found[0]).not.toContain('hunter2');
});

test('devices are all, none or a list of indices', () => {
  expect(inferenceConfigSchema.parse({ devices: [2, 0] }).devices).toEqual([2, 0]);
  expect(inferenceConfigSchema.parse({}).devices).toBe('auto');
  expect(problems({ devices: [] })).toEqual(['devices: is empty; for no device write "none"']);
  expect(problems({ devices: [1, 1] })).toEqual(['devices: 1 is listed twice']);
  const words = 'must be "auto", "none" or a list of CUDA indices as nvidia-smi numbers them, e.g. [0, 1]';
  for (const devices of ['cuda', 0, ['GPU-a'], [-1]]) {
    expect(problems({ devices })).toEqual([expect.stringMatching(/^devices/)]);
  }
  expect(problems({ devices: 'cuda' })).toEqual([`devices: ${words}`]);
});

import { expect, test } from 'vitest';
import { inferenceConfigSchema } from './config.ts';

function problems(section: unknown): string[] {
  const result = inferenceConfigSchema.safeParse(section);
  return (result.error?.issues ?? []).map((issue) => `${issue.path.join('.')}: ${issue.message}`);
}

test('the two kinds of entries that work are taken', () => {
  const config = inferenceConfigSchema.parse({
    models: [
      { name: 'default', engine: 'llama.cpp', model: 'models/a.gguf', required: true },
      { name: 'remote', engine: 'openai', base_url: 'http://10.0.0.7:8000/v1' },
    ],
  });
  expect(config).toMatchObject({ devices: 'auto', models: [{ required: true, extra_args: [] }, { required: false }] });
});

test.each([
  [
    { name: 'a', engine: 'vllm', model: 'x' },
    "models.0.engine: the engine 'vllm' is not available yet in this version",
  ],
  [
    { name: 'a', engine: 'llama.cpp', model: 'x', tensor_parallel_size: 2 },
    "models.0.tensor_parallel_size: 'tensor_parallel_size' is not available yet in this version",
  ],
  [{ name: 'a', engine: 'openai' }, 'models.0.base_url: Invalid input: expected string, received undefined'],
  [{ name: 'a', engine: 'openai', base_url: 'http://x/v1', colour: 1 }, 'models.0: Unrecognized key: "colour"'],
])('%j is refused', (entry, problem) => {
  expect(problems({ models: [entry] })).toContain(problem);
});

test('an unknown engine, a list of devices and a name used twice are refused', () => {
  expect(problems({ models: [{ name: 'a', engine: 'abacus' }] })[0]).toContain('models.0.engine');
  expect(problems({ devices: [0] })).toEqual(['devices: a list of devices is not available yet in this version']);
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

import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { judgeSql } from '../../models/demo/eval/judge.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';

// What a newcomer sees first: a start that names no model. Its quality is measured by models/demo/eval; here it answers at all.
describe.each(arrangements())('the model that ships, %s', (arrangement) => {
  let mesh: TestMesh;
  let client: OpenAI;
  beforeAll(async () => {
    mesh = await startMesh(arrangement);
    client = new OpenAI({ baseURL: `${mesh.url}/v1`, apiKey: mesh.adminKey, maxRetries: 0 });
  });
  afterAll(() => mesh.stop());

  async function ask(content: string): Promise<OpenAI.ChatCompletion.Choice | undefined> {
    const messages = [{ role: 'user' as const, content }];
    return (await client.chat.completions.create({ model: 'default', messages, temperature: 0 })).choices[0];
  }

  test('is listed under its own name', async () => {
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(['mesh-demo']);
  });

  test.each([
    ['What is the capital of France?', /Paris/],
    ['Who are you?', /demo model/],
    ['What is 2 plus 3?', /\b5\b/],
    ['What is quantum computing?', /qubits/i],
  ])('answers %j and ends its turn', async (question, fact) => {
    const choice = await ask(question);
    expect(choice?.message.content).toMatch(fact);
    expect(choice?.finish_reason).toBe('stop');
  });

  test('writes SQL that parses', async () => {
    const choice = await ask('show all users who registered in the last 30 days');
    expect(await judgeSql(choice?.message.content ?? '', { tables: ['users'] })).toBeUndefined();
  });

  test('knows the context of a long chat', async () => {
    const messages = [
      { role: 'user' as const, content: 'What is the capital of Italy?' },
      { role: 'assistant' as const, content: 'The capital of Italy is Rome.' },
      { role: 'user' as const, content: 'And of Spain?' },
    ];
    const { choices } = await client.chat.completions.create({ model: 'default', messages, temperature: 0 });
    expect(choices[0]?.message.content).toContain('Madrid');
  });
});

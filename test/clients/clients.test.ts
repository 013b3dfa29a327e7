import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LlmClient, LlmError } from '../../clients/typescript/client.ts';
import { type CompatMesh, startCompatMesh } from '../compat/compat-mesh.ts';
import { hasPython, pythonEnvironment } from '../harness/python-environment.ts';

const root = join(import.meta.dirname, '../..');
const KEY = 'queue-key-0123456789abcdefghijklmnopqrstuv';

/** A test of a whole mesh on a machine that may do other work, in milliseconds. */
const PATIENCE_MS = 60_000;

let compat: CompatMesh;
beforeAll(async () => {
  const tiers = { queue: { requests_bucket: { per_minute: 60, burst: 200 } } };
  compat = await startCompatMesh({ chat: 'org/queue-1' }, { env: { API_KEYS: KEY }, config: { quota: { tiers } } });
});
afterAll(() => compat?.stop());

const run = promisify(execFile);

describe('the client in TypeScript', { timeout: PATIENCE_MS }, () => {
  test('generates, streams, cancels, and tells what was wrong', async () => {
    const client = new LlmClient(`${compat.mesh.url}/`, KEY);
    await compat.engine('chat').script({ everyMs: 5 });
    expect(await client.generate('hi', { maxTokens: 3, userId: 'ann' })).toMatchObject({
      ...{ status: 'completed', result: ' t0 t1 t2' },
      metrics: { completion_tokens: 3 },
    });
    let text = '';
    for await (const part of client.stream('hi', { maxTokens: 5 })) text += part;
    expect(text).toBe(' t0 t1 t2 t3 t4');
    await compat.engine('chat').script({ holdAtToken: 1 });
    const taskId = await client.submit('hi');
    await client.cancel(taskId);
    expect(await client.result(taskId)).toMatchObject({ status: 'error', error_type: 'Cancelled' });
    await expect(client.result('nothing')).rejects.toThrow('404: Task not found');
    await expect(new LlmClient(compat.mesh.url, 'wrong').submit('hi')).rejects.toThrow(LlmError);
  });
});

describe.skipIf(!hasPython())('the clients in Python', { timeout: PATIENCE_MS }, () => {
  test('client_example.py is imported, and run', async () => {
    await compat.engine('chat').script({});
    const python = await pythonEnvironment();
    const program = `
import json, sys
from client_example import LLMClient, LLMError
client = LLMClient(sys.argv[1], sys.argv[2])
told = {}
told["waited"] = client.generate("hi", max_tokens=3, temperature=0.5)
told["accepted"] = client.generate("hi", 3, 0.5, wait=False)
told["later"] = client.wait(told["accepted"]["task_id"])
told["stream"] = "".join(client.stream("hi", max_tokens=4))
try:
    LLMClient(sys.argv[1], "wrong").generate("hi")
except LLMError as error:
    told["refused"] = [error.status, error.detail]
print(json.dumps(told))`;
    const options = { cwd: join(root, 'clients/python') };
    const { stdout } = await run(python, ['-B', '-c', program, compat.mesh.url, KEY], options);
    const completed = { status: 'completed', result: ' t0 t1 t2', metrics: { completion_tokens: 3 } };
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ waited: completed, accepted: { status: 'queued' }, later: completed },
      ...{ stream: ' t0 t1 t2 t3', refused: [401, 'Invalid API key'] },
    });
    const typed = await run(python, ['-B', 'client_example.py', compat.mesh.url, KEY, 'hi'], options);
    expect(typed.stdout).toMatch(/^ t0 t1/);
  });

  test('text that other programs take for ends of lines comes as it is', async () => {
    await compat.engine('chat').script({ texts: ['\u2028', '\u0085', '\u2029', '\r\n', '日'] });
    const python = await pythonEnvironment();
    const program = `
import json, sys
from client_example import LLMClient
print(json.dumps("".join(LLMClient(sys.argv[1], sys.argv[2]).stream("hi", max_tokens=5))))`;
    const options = { cwd: join(root, 'clients/python') };
    const { stdout } = await run(python, ['-B', '-c', program, compat.mesh.url, KEY], options);
    expect(JSON.parse(stdout)).toBe('\u2028\u0085\u2029\r\n日');
  });

  test('smoke.py tries both kinds of credentials and prints calls', async () => {
    await compat.engine('chat').script({});
    const python = await pythonEnvironment();
    const script = join(root, 'clients/smoke.py');
    const { stdout } = await run(python, ['-B', script, compat.mesh.url.replace('http://', ''), KEY]);
    expect(stdout.match(/^ok /gm)).toHaveLength(5);
    expect(stdout).toContain(`${compat.mesh.url}/generate`);
    expect(stdout).not.toContain(KEY.slice(0, 10));
    await expect(run(python, ['-B', script, compat.mesh.url, 'wrong'])).rejects.toMatchObject({ code: 1 });
  });
});

test('test_api.sh passes, and fails without a good key', { timeout: PATIENCE_MS }, async () => {
  await compat.engine('chat').script({});
  const script = join(root, 'clients/test_api.sh');
  const { stdout } = await run('sh', [script, compat.mesh.url, KEY]);
  expect(stdout).toContain('all answered as they should');
  expect(stdout).not.toContain(KEY);
  await expect(run('sh', [script, compat.mesh.url, 'wrong'])).rejects.toMatchObject({ code: 1 });
});

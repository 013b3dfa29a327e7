import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasPython, runPython } from '../harness/python-environment.ts';
import { chatCases } from './javascript/chat-cases.ts';
import { errorCases } from './javascript/error-cases.ts';
import { responseCases } from './javascript/response-cases.ts';
import { streamCases } from './javascript/stream-cases.ts';
import { textCases } from './javascript/text-cases.ts';
import { toolCases } from './javascript/tool-cases.ts';
import { type SdkMesh, SMALL_MODEL, startSdkMesh } from './sdk-mesh.ts';

// The official SDKs against a mesh. What an answer must be is known because the server behind the mesh answers on demand.
describe('the openai SDKs', () => {
  let running: SdkMesh;
  beforeAll(async () => {
    running = await startSdkMesh();
  });
  afterAll(() => running?.stop());
  const setting = (): SdkMesh => running;

  describe('JavaScript: chat', () => chatCases(setting));
  describe('JavaScript: streams', () => streamCases(setting));
  describe('JavaScript: tools', () => toolCases(setting));
  describe('JavaScript: texts and vectors', () => textCases(setting));
  describe('JavaScript: responses', () => responseCases(setting));
  describe('JavaScript: errors, attempts, headers and models', () => errorCases(setting));

  test.skipIf(!hasPython())('Python: every case of python/', async () => {
    const cases = await runPython(join(import.meta.dirname, 'python/run.py'), {
      base_url: running.baseUrl,
      upstream_url: running.upstream.baseUrl,
      keys: await running.freshKeys(),
      small_model: SMALL_MODEL,
    });
    expect(cases).toHaveLength(28);
    expect((cases as { error: string | null }[]).filter(({ error }) => error !== null)).toEqual([]);
  });
});

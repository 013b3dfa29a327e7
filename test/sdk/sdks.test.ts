import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasPython, runPython } from '../harness/python-environment.ts';
import { chatCases } from './javascript/chat-cases.ts';
import { errorCases } from './javascript/error-cases.ts';
import { messageCases } from './javascript/message-cases.ts';
import { responseCases } from './javascript/response-cases.ts';
import { streamCases } from './javascript/stream-cases.ts';
import { textCases } from './javascript/text-cases.ts';
import { toolCases } from './javascript/tool-cases.ts';
import { type SdkMesh, SMALL_MODEL, startSdkMesh } from './sdk-mesh.ts';

/** An install, and then all cases. */
const PYTHON_TIMEOUT_MS = 350_000;

// The official SDKs against a mesh. What an answer must be is known because the server behind the mesh answers on demand.
describe('the SDKs', () => {
  let running: SdkMesh;
  beforeAll(async () => {
    running = await startSdkMesh();
  });
  afterAll(() => running?.stop());
  const setting = (): SdkMesh => running;

  describe('openai for JavaScript: chat', () => chatCases(setting));
  describe('openai for JavaScript: streams', () => streamCases(setting));
  describe('openai for JavaScript: tools', () => toolCases(setting));
  describe('openai for JavaScript: texts and vectors', () => textCases(setting));
  describe('openai for JavaScript: responses', () => responseCases(setting));
  describe('openai for JavaScript: errors, attempts, headers and models', () => errorCases(setting));

  describe('@anthropic-ai/sdk', () => messageCases(setting));

  test.skipIf(!hasPython())(
    'openai for Python: every case of python/',
    async () => {
      const cases = await runPython(join(import.meta.dirname, 'python/run.py'), {
        base_url: running.baseUrl,
        upstream_url: running.upstream.baseUrl,
        keys: await running.freshKeys(),
        small_model: SMALL_MODEL,
      });
      expect(cases).toHaveLength(28);
      expect((cases as { error: string | null }[]).filter(({ error }) => error !== null)).toEqual([]);
    },
    PYTHON_TIMEOUT_MS,
  );
});

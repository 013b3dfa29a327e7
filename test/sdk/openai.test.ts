import { afterAll, beforeAll, describe } from 'vitest';
import { chatCases } from './javascript/chat-cases.ts';
import { errorCases } from './javascript/error-cases.ts';
import { streamCases } from './javascript/stream-cases.ts';
import { textCases } from './javascript/text-cases.ts';
import { toolCases } from './javascript/tool-cases.ts';
import { type SdkMesh, startSdkMesh } from './sdk-mesh.ts';

// The official SDKs against a mesh. What an answer must be is known because the server behind the mesh answers on demand.
describe('the openai SDKs', () => {
  let running: SdkMesh;
  beforeAll(async () => {
    running = await startSdkMesh();
  });
  afterAll(() => running.stop());
  const setting = (): SdkMesh => running;

  describe('JavaScript: chat', () => chatCases(setting));
  describe('JavaScript: streams', () => streamCases(setting));
  describe('JavaScript: tools', () => toolCases(setting));
  describe('JavaScript: texts and vectors', () => textCases(setting));
  describe('JavaScript: errors, attempts, headers and models', () => errorCases(setting));
});

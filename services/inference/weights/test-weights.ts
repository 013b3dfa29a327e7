/** A hub and a folder of models for the tests of this directory. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { type FakeHub, startFakeHub } from '../../../test/harness/fake-hub.ts';
import type { WeightsResources } from './obtain.ts';
import { obtainWeights } from './obtain.ts';
import { parseHubReference } from './reference.ts';

export const SIZE_BYTES = 300_000;
export const WEIGHTS = randomBytes(SIZE_BYTES);

export interface WeightsTest {
  readonly hub: FakeHub;
  readonly modelsDirectory: string;
  /** Log records so far. */
  readonly log: Record<string, unknown>[];
  /** What the terminal was given. */
  readonly shown: string[];
  /** Obtains "hf:user/model" or another reference. */
  obtain(reference?: string, resources?: Partial<WeightsResources>): Promise<string>;
  /** Names of the files in the repository's directory, without the lock. */
  kept(): string[];
  close(): Promise<void>;
}

export async function startWeightsTest(
  files: Record<string, Buffer> = { 'a-Q4_K_M.gguf': WEIGHTS },
  pageSize?: number,
): Promise<WeightsTest> {
  const hub = await startFakeHub(files, pageSize);
  const modelsDirectory = join(mkdtempSync(join(tmpdir(), 'mesh-weights-')), 'models');
  const log: Record<string, unknown>[] = [];
  const shown: string[] = [];
  return {
    hub,
    modelsDirectory,
    log,
    shown,
    obtain(text = 'hf:user/model', resources = {}) {
      const reference = parseHubReference(text);
      if (!reference) throw new Error(`no reference: ${text}`);
      return obtainWeights(reference, `--model ${text}`, {
        hub: { endpoint: hub.endpoint, token: undefined, offline: false },
        modelsDirectory,
        signal: new AbortController().signal,
        firstRetryMs: 1,
        terminal: { isTTY: false, columns: 80, write: (text: string) => shown.push(text) > 0 } as never,
        log: pino({ level: 'info' }, { write: (line: string) => void log.push(JSON.parse(line)) }),
        now: Date.now,
        ...resources,
      });
    },
    kept: () =>
      readdirSync(join(modelsDirectory, 'user--model'))
        .filter((name) => !name.startsWith('.lock'))
        .sort(),
    async close() {
      await hub.stop();
      rmSync(join(modelsDirectory, '..'), { recursive: true });
    },
  };
}

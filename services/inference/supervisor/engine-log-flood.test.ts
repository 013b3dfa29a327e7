import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { expect, onTestFinished, test } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { scripted } from '../../../test/engines/kit/fault-script.ts';
import { isRunning } from '../../../test/engines/processes.ts';
import { RecordingSink, recordingCall } from '../../../test/engines/recording-sink.ts';
import { supervise } from '../../../test/engines/supervise.ts';
import { entryOf } from '../../../test/engines/vllm/start.ts';
import { vllmEngine } from '../engines/vllm.ts';

const MIB = 1024 * 1024;

/** How many lines of 1 KiB must have been left out: twice as much as memory may grow. */
const FLOOD_LINES = 200_000;

/** More than an engine writes while a test lasts. */
const ENDLESS_BYTES = 1e15;

/** Generous: the machine may do other work. */
const PATIENCE = { timeout: 90_000, interval: 100 };
const TIMEOUT_MS = 180_000;

test(
  'an engine that floods its error output serves on; memory and disk stay as they are, its log file is put aside',
  async () => {
    const program = join(import.meta.dirname, '../../../test/engines/bin/vllm');
    const entry = entryOf({ program, devices: [], env: scripted({ stderrFloodBytes: ENDLESS_BYTES, everyMs: 5 }) });
    const { engine, engineLog, directory, states, last, close } = supervise(vllmEngine(entry), { entry });
    onTestFinished(close);
    const logs = join(directory, 'data', 'logs');
    mkdirSync(logs, { recursive: true });
    // All but full, so that the test need not last until it is.
    writeFileSync(join(logs, 'chat.log'), 'an old line\n'.repeat((9.5 * MIB) / 12));
    let leftOut = 0;
    engineLog.follow(({ text }) => {
      leftOut += Number(/^\[mesh\] (\d+) lines were left out/.exec(text)?.[1] ?? 0);
    });
    engine.start();
    await expect.poll(() => states.at(-1), PATIENCE).toBe('READY');
    const { processId } = last();
    const beforeBytes = process.memoryUsage().rss;
    do {
      const sink = new RecordingSink();
      const request = create(GenerateRequestSchema, {
        model: 'chat',
        prompt: { input: { case: 'text', value: 'hi' } },
        sampling: { maxTokens: 50 },
      });
      expect(engine.connection).toBeDefined();
      engine.connection?.generate(request, recordingCall(), sink);
      expect(await sink.over).toBe('end');
      expect(sink.text()).toContain(' t49');
      expect(process.memoryUsage().rss - beforeBytes).toBeLessThan(100 * MIB);
    } while (leftOut < FLOOD_LINES);
    expect(states).toEqual(['PLACED', 'STARTING', 'READY']);
    expect(last().processId).toBe(processId);
    await engine.stop(0);
    expect(isRunning(processId)).toBe(false);
    await engineLog.close();
    expect(readdirSync(logs).sort()).toEqual(['chat.log', 'chat.log.1']);
    for (const name of readdirSync(logs)) expect(statSync(join(logs, name)).size).toBeLessThan(12 * MIB);
    expect(readFileSync(join(logs, 'chat.log.1'), 'utf8')).toMatch(/^an old line\n/);
    expect(readFileSync(join(logs, 'chat.log'), 'utf8')).toContain('lines were left out');
  },
  TIMEOUT_MS,
);

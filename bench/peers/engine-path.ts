/**
 * The way of a token from the engine's socket to a typed event and nothing else: the adapter for OpenAI-compatible servers with
 * a sink that counts. Usage: engine-path.ts ENGINE_PORT; each line of standard input is a JSON `EnginePathLoad`, each line of
 * standard output the `EnginePathFigures` of one.
 */
import { createInterface } from 'node:readline';
import { create } from '@bufbuild/protobuf';
import { GenerateRequestSchema } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { Role } from '../../gen/mesh/generation/v1/prompt_pb.ts';
import type { EngineConnection } from '../../services/inference/engines/engine.ts';
import { modelEntrySchema } from '../../services/inference/engines/model-entry.ts';
import { openAiEngine } from '../../services/inference/engines/openai.ts';
import type { OpenAiEntry } from '../../services/inference/engines/openai-entry.ts';
import { FlowControl } from '../../services/shared/transport/flow-control.ts';

export interface EnginePathLoad {
  /** The mock engine's pace. */
  readonly model: 'paced' | 'burst';
  readonly streams: number;
  readonly tokens: number;
  /** Between two tokens of a paced stream. */
  readonly periodMs: number;
  /** The streams start spread over this time. */
  readonly rampMs: number;
}

export interface EnginePathFigures {
  readonly tokens: number;
  readonly events: number;
  readonly seconds: number;
  readonly cpuUs: number;
  readonly idleRssBytes: number;
  readonly peakRssBytes: number;
}

/** Often enough to see the highest of a run of seconds, seldom enough to cost nothing. */
const MEMORY_EVERY_MS = 100;

function connect(model: string): EngineConnection {
  const base_url = `http://127.0.0.1:${process.argv[2]}/v1`;
  const entry = modelEntrySchema.parse({ name: model, engine: 'openai', model, base_url });
  const setting = { runDirectory: '/nowhere', nodePath: process.execPath, gpu: 'none' as const };
  return openAiEngine(entry as OpenAiEntry).connect(
    { ...setting, environmentVariable: () => undefined },
    { devices: [], ports: [] },
  );
}

/** The mock engine chooses its pace by the model's name. */
const connections = { paced: connect('paced'), burst: connect('burst') };

async function run({ model, streams, tokens, periodMs, rampMs }: EnginePathLoad): Promise<EnginePathFigures> {
  let events = 0;
  let received = 0;
  let peakRssBytes = 0;
  const request = create(GenerateRequestSchema, {
    prompt: {
      input: {
        case: 'chat',
        value: { messages: [{ role: Role.USER, parts: [{ part: { case: 'text', value: 'Explain gateways.' } }] }] },
      },
    },
    sampling: { maxTokens: tokens, seed: BigInt(periodMs) },
  });
  function generate(index: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const call = { requestId: String(index), signal: new AbortController().signal, flow: new FlowControl() };
    connections[model].generate(request, call, {
      event({ event }) {
        events++;
        if (event.case === 'usage') received += event.value.completionTokens;
      },
      end: resolve,
      fail: reject,
    });
    return promise;
  }
  const watch = setInterval(() => {
    peakRssBytes = Math.max(peakRssBytes, process.memoryUsage.rss());
  }, MEMORY_EVERY_MS);
  const idleRssBytes = process.memoryUsage.rss();
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  const running: Promise<void>[] = [];
  for (let index = 0; index < streams; index++) {
    running.push(generate(index));
    if (rampMs > 0) await new Promise((resolve) => setTimeout(resolve, rampMs / streams));
  }
  await Promise.all(running);
  const seconds = (performance.now() - startMs) / 1e3;
  const { user, system } = process.cpuUsage(cpuBefore);
  clearInterval(watch);
  if (received !== streams * tokens) throw new Error(`${received} tokens instead of ${streams * tokens}`);
  return { tokens: received, events, seconds, cpuUs: user + system, idleRssBytes, peakRssBytes };
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await run(JSON.parse(line)))}\n`);
}
await Promise.all(Object.values(connections).map((connection) => connection.close()));

// A fake engine on a loopback port of its own, behind its adapter; with what tests of one kind of engine ask of it.
import { setTimeout as delay } from 'node:timers/promises';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { GenerateRequestSchema } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { Role } from '../../gen/mesh/generation/v1/prompt_pb.ts';
import type { EngineAdapter, EngineConnection, EngineProbe } from '../../services/inference/engines/engine.ts';
import type { FakeState } from './kit/engine-state.ts';
import { type FaultScript, scripted } from './kit/fault-script.ts';
import { engineFolder, fakeState, freePorts, type StartedEngine, startEngine } from './launched-engine.ts';
import { RecordingSink, recordingCall } from './recording-sink.ts';

/** A request, with what is not said left out. */
export type RequestShape = Extract<MessageInitShape<typeof GenerateRequestSchema>, { $typeName?: never }>;

/** A prompt. */
export type PromptShape = NonNullable<RequestShape['prompt']>;

/** A fake on a port. */
export interface EngineOnPort extends StartedEngine {
  readonly port: number;
  /** The fake's own count. */
  state(): Promise<FakeState>;
  /** Waits until it answers its probe; rejects with an error that `isFinal` accepts, and when the process ends. */
  ready(isFinal?: (error: unknown) => boolean): Promise<EngineProbe>;
}

/** Starts the fake of an adapter that takes one port. `adapterOf` gets the variables that its entry must have. */
export async function startOnPort(
  adapterOf: (env: Readonly<Record<string, string>>) => EngineAdapter,
  script: FaultScript,
  devices: readonly number[] = [],
): Promise<EngineOnPort> {
  const folder = engineFolder();
  const ports = await freePorts(1);
  const started = startEngine(adapterOf(scripted(script, folder.recordFile)), folder, { devices, ports });
  const port = ports[0] ?? 0;
  let gone = false;
  void started.child.exited.then(() => {
    gone = true;
  });
  return {
    ...started,
    port,
    state: () => fakeState(port),
    async ready(isFinal = () => false) {
      for (;;) {
        try {
          return await started.connection.probe(AbortSignal.timeout(5_000));
        } catch (error) {
          if (gone || isFinal(error)) throw error;
        }
        await delay(10);
      }
    },
    async close() {
      await started.close();
      folder.remove();
    },
  };
}

/** Starts a generation. */
export function generate({ connection }: { readonly connection: EngineConnection }, shape: RequestShape) {
  const sink = new RecordingSink();
  const call = recordingCall();
  connection.generate(create(GenerateRequestSchema, { model: 'chat', ...shape }), call, sink);
  return { sink, call };
}

/** A text to continue. */
export function text(value: string): PromptShape {
  return { input: { case: 'text', value } };
}

/** A conversation of one message, with options for its template. */
export function chat(templateOptions?: Readonly<Record<string, boolean>>): PromptShape {
  const messages = [{ role: Role.USER, parts: [{ part: { case: 'text' as const, value: 'Hello' } }] }];
  return { input: { case: 'chat', value: { messages, ...(templateOptions ? { templateOptions } : {}) } } };
}

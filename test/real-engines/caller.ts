import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type Client, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import type { GenerateRequestSchema } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Delta, Finished, Usage } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import { type PromptSchema, Role } from '../../gen/mesh/generation/v1/prompt_pb.ts';
import { type Engine, EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { MESH_TOKEN_HEADER } from '../../services/shared/transport/mesh-headers.ts';
import type { TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';

/** What a request asks besides its model. */
export type Asked = Omit<Exclude<MessageInitShape<typeof GenerateRequestSchema>, { $typeName: string }>, 'model'>;

type PromptShape = MessageInitShape<typeof PromptSchema>;

/** Long enough for vLLM on a machine that does other work. */
export const START_TIMEOUT_MS = 400_000;

/** A prompt of plain text. */
export const text = (value: string): PromptShape => ({ input: { case: 'text', value } });

/** A conversation of one message. */
export function chat(value: string): PromptShape {
  const parts = [{ part: { case: 'text' as const, value } }];
  return { input: { case: 'chat', value: { messages: [{ role: Role.USER, parts }] } } };
}

/** All that a generation sent. */
export class Answer {
  readonly deltas: Delta[] = [];
  readonly finished: Finished[] = [];
  usage: Usage | undefined;

  /** The text of one choice. */
  text(choice = 0): string {
    return this.deltas.map((delta) => (delta.choice === choice ? delta.text : '')).join('');
  }

  get tokenIds(): number[] {
    return this.deltas.flatMap(({ tokenIds }) => tokenIds);
  }
}

/** A client of a mesh over gRPC, with the admin key. */
export class Caller {
  readonly router: Client<typeof RouterService>;
  readonly inference: Client<typeof InferenceService>;
  readonly headers: { authorization: string };
  /** What only other processes of the mesh may ask. */
  readonly asPeer: { readonly [MESH_TOKEN_HEADER]: string };

  constructor({ url, adminKey, dataDir }: TestMesh) {
    this.asPeer = { [MESH_TOKEN_HEADER]: readFileSync(join(dataDir('inference'), 'mesh.token'), 'utf8').trim() };
    const transport = createGrpcTransport({ baseUrl: url });
    this.router = createClient(RouterService, transport);
    this.inference = createClient(InferenceService, transport);
    this.headers = { authorization: `Bearer ${adminKey}` };
  }

  /** A generation to its end. `onDelta` is called with what there is so far; `signal` cancels. */
  async generate(
    model: string,
    asked: Asked,
    onDelta?: (answer: Answer) => void,
    signal?: AbortSignal,
  ): Promise<Answer> {
    const answer = new Answer();
    const options = { headers: this.headers, ...(signal ? { signal } : {}) };
    for await (const { event } of this.router.generate({ ...asked, model }, options)) {
      if (event.case === 'finished') answer.finished.push(event.value);
      if (event.case === 'usage') answer.usage = event.value;
      if (event.case !== 'delta') continue;
      answer.deltas.push(event.value);
      onDelta?.(answer);
    }
    return answer;
  }

  async engine(name: string): Promise<Engine> {
    const { engines } = await this.inference.listEngines({}, { headers: this.headers });
    const found = engines.find(({ engine }) => engine?.name === name)?.engine;
    if (!found) throw new Error(`no engine '${name}'`);
    return found;
  }

  /** Loads it and returns what it was on the way, the last as it is ready. */
  async load(model: string): Promise<Engine[]> {
    const seen: Engine[] = [];
    for await (const { engine } of this.inference.loadModel({ model }, { headers: this.headers })) {
      if (engine) seen.push(engine);
    }
    return seen;
  }

  async unload(model: string): Promise<void> {
    await this.inference.unloadModel({ model }, { headers: this.headers });
  }

  /** Waits until it is ready; fails with its failure where it does not get there. */
  ready(name: string): Promise<Engine> {
    return eventually(`${name} is ready`, async () => await this.#readyNow(name), START_TIMEOUT_MS);
  }

  async #readyNow(name: string): Promise<Engine | undefined> {
    const engine = await this.engine(name);
    return engine.state === EngineState.READY ? engine : undefined;
  }
}

// The fake engine as an engine that the supervisor starts: an adapter as those in services/inference/engines/.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { EngineCapabilitiesSchema } from '../../gen/mesh/inference/v1/engine_pb.ts';
import type {
  DeviceDemand,
  EngineAdapter,
  EngineLaunch,
  EngineProbe,
  FailureSignature,
} from '../../services/inference/engines/engine.ts';
import { OpenAiConnection } from '../../services/inference/engines/openai-connection.ts';
import type { FakeScript } from './fake-openai.ts';

/** What differs from an adapter that needs nothing and tells nothing. */
export interface FakeAdapterOptions {
  /** Run instead of fake-openai.ts. */
  readonly program?: readonly string[];
  readonly demand?: DeviceDemand;
  readonly portCount?: number;
  /** What a probe says once /health has answered. */
  readonly probe?: (signal: AbortSignal) => EngineProbe | Promise<EngineProbe>;
  readonly readLine?: EngineLaunch['readLine'];
  readonly failures?: readonly FailureSignature[];
}

/** An adapter whose process is fake-openai.ts with a script. */
export function fakeAdapter(script: FakeScript = {}, options: FakeAdapterOptions = {}): EngineAdapter {
  const capabilities = create(EngineCapabilitiesSchema, { chat: true });
  return {
    kind: 'fake',
    capabilities,
    address: 'embedded:fake',
    modelId: 'fake-model',
    deviceKind: 'cpu',
    lifecycle: 'started',
    portCount: options.portCount ?? 0,
    demand: () => Promise.resolve(options.demand),
    connect(setting) {
      const socketPath = join(setting.runDirectory, `${randomBytes(4).toString('hex')}.sock`);
      const connection = new OpenAiConnection(
        { baseUrl: new URL('http://localhost/v1'), socketPath },
        { engine: 'chat', capabilities, continuousUsage: false },
      );
      const fake = [join(import.meta.dirname, 'fake-openai.ts'), JSON.stringify(script), '--socket', socketPath];
      const [own, ...ownArgs] = options.program ?? [];
      return {
        launch: {
          program: own ?? setting.nodePath,
          args: own === undefined ? fake : ownArgs,
          environment: {},
          secrets: ['top-secret-value'],
          readLine: options.readLine ?? (() => undefined),
          failures: options.failures ?? [],
        },
        generate: (request, call, sink) => connection.generate(request, 'fake-model', call, sink),
        tokenize: () => Promise.resolve([]),
        probe: async (signal) => {
          await connection.json('GET', '/health', signal);
          return (await options.probe?.(signal)) ?? {};
        },
        close: () => connection.close(),
      };
    },
  };
}

import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { RANDOM_MODEL } from '../fixtures/embedded-engine.ts';
import { startMesh, type TestMesh } from '../harness/mesh.ts';
import { startUpstream, UPSTREAM_MODELS, type Upstream } from './upstream.ts';

/** What the SDKs are tested against. */
export interface SdkMesh {
  readonly mesh: TestMesh;
  /** Behind the models `chat` and `vectors`. */
  readonly upstream: Upstream;
  /** With "/v1". */
  readonly baseUrl: string;
  readonly keys: SdkKeys;
  /** Keys of the same kinds of which nothing was used. */
  freshKeys(): Promise<SdkKeys>;
  stop(): Promise<void>;
}

/** Keys by what is special about them. */
export interface SdkKeys {
  /** Without limits. */
  readonly admin: string;
  /** One request at once, then one a second. */
  readonly slow: string;
  /** One request an hour. */
  readonly hourly: string;
  /** 1,000 tokens a minute. */
  readonly thrifty: string;
  /** Only the model `small`. */
  readonly narrow: string;
}

const TIERS = {
  slow: { requests_bucket: { per_minute: 60, burst: 1 } },
  hourly: { requests_per_hour: 1 },
  thrifty: { tokens_per_minute: 1_000 },
};

/** The model of the embedded engine. */
export const SMALL_MODEL = 'small';

/** Starts a mesh with an embedded engine (`small`) and an attached server (`chat`, `vectors`). */
export async function startSdkMesh(): Promise<SdkMesh> {
  const upstream = await startUpstream();
  const attached = { engine: 'openai', base_url: upstream.baseUrl, required: true };
  const models = [
    { name: 'chat', model: UPSTREAM_MODELS.chat, ...attached },
    { name: 'vectors', model: UPSTREAM_MODELS.embed, ...attached },
    { name: SMALL_MODEL, engine: 'llama.cpp', model: RANDOM_MODEL, required: true },
  ];
  const mesh = await startMesh('one process', { config: { inference: { models }, quota: { tiers: TIERS } } });
  return {
    mesh,
    upstream,
    baseUrl: `${mesh.url}/v1`,
    keys: await newKeys(mesh),
    freshKeys: () => newKeys(mesh),
    stop: async () => {
      await mesh.stop();
      upstream.close();
    },
  };
}

async function newKeys({ url, adminKey }: TestMesh): Promise<SdkKeys> {
  const auth = createClient(AuthService, createGrpcTransport({ baseUrl: url }));
  const headers = { authorization: `Bearer ${adminKey}` };
  const keyOf = async (fields: { tier: string; models?: string[] }): Promise<string> =>
    (await auth.createApiKey({ organizationId: 'default', ...fields }, { headers })).secret;
  const [slow, hourly, thrifty] = await Promise.all(Object.keys(TIERS).map((tier) => keyOf({ tier })));
  const narrow = await keyOf({ tier: 'premium', models: [SMALL_MODEL] });
  return { admin: adminKey, slow: slow ?? '', hourly: hourly ?? '', thrifty: thrifty ?? '', narrow };
}

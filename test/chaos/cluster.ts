import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { eventually, type RunningProgram, startProgram } from '../harness/processes.ts';
import { startRedis } from '../harness/redis.ts';
import { Gateway } from './gateway.ts';
import type { EngineRecord } from './history.ts';
import { QUOTA } from './limits.ts';
import { type ReplyDropper, startReplyDropper } from './reply-dropper.ts';
import { StoreRecorder } from './store-recorder.ts';

/** A key that the load uses. */
export interface LoadKey {
  readonly keyId: string;
  readonly secret: string;
}

/** Gateways that share a Redis, each through a ReplyDropper of its own, and engines that all of them use. */
export interface Cluster {
  readonly gateways: readonly Gateway[];
  readonly droppers: readonly ReplyDropper[];
  readonly redis: RunningProgram;
  /** Past the droppers. */
  readonly redisUrl: string;
  readonly recorder: StoreRecorder;
  readonly keys: readonly LoadKey[];
  /** What the engines counted. */
  engineRecords(): Promise<EngineRecord[]>;
  /** Ends what is left. */
  stop(): Promise<void>;
}

/** How long Redis may take before it counts as away, in milliseconds: all of it runs on two cores. */
const STORE_TIMEOUT_MS = 1_000;

const ENGINES = 2;

/** Starts it, with the section `quota` and others. */
export async function startCluster(
  gatewayCount: number,
  keyCount: number,
  leaseSeconds: number,
  sections: { readonly quota: { readonly tiers: object }; readonly tasks?: object } = { quota: QUOTA },
): Promise<Cluster> {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-chaos-'));
  const ends: (() => unknown)[] = [() => rmSync(directory, { recursive: true, force: true })];
  const stop = async (): Promise<void> => {
    for (const end of ends.toReversed()) await end();
  };
  try {
    const redis = await startRedis();
    ends.push(() => redis.server.stop('SIGKILL'));
    const recorder = new StoreRecorder(redis.url, join(directory, 'monitor.log'));
    const engines = await Promise.all(Array.from({ length: ENGINES }, startEngine));
    ends.push(() => Promise.all(engines.map(({ program }) => program.stop('SIGKILL'))));
    const configFile = join(directory, 'mesh.json');
    const models = engines.map(({ url }, i) => {
      return { name: `chaos-${i}`, engine: 'openai', base_url: `${url}/v1`, model: 'chaos', required: true };
    });
    const config = {
      server: { store_timeout_ms: STORE_TIMEOUT_MS },
      ...{ ...sections, router: { lease_seconds: leaseSeconds }, inference: { devices: 'none', models } },
    };
    writeFileSync(configFile, JSON.stringify(config));
    writeFileSync(join(directory, 'pepper'), 'test-pepper-0123456789abcdef0123456789abcdef');
    const droppers: ReplyDropper[] = [];
    const gateways: Gateway[] = [];
    for (let index = 0; index < gatewayCount; index += 1) {
      const dropper = await startReplyDropper(Number(new URL(redis.url).port));
      ends.push(() => dropper.close());
      droppers.push(dropper);
      const env = {
        REDIS_URL: `redis://127.0.0.1:${dropper.port}`,
        MESH_PEPPER_FILE: join(directory, 'pepper'),
        MESH_TOKEN: 'test-token-0123456789abcdef0123456789abcdef',
      };
      // The first one's engines are reached over a hop, the others' within the process.
      const gateway = await Gateway.start({ index, directory, configFile, env, hasNode: index === 0 });
      ends.push(() => gateway.stop());
      gateways.push(gateway);
      // One at a time: the first has made the admin key.
      await gateway.ready();
    }
    const keys = await createKeys(gateways[0] as Gateway, keyCount, Object.keys(sections.quota.tiers));
    const engineRecords = async (): Promise<EngineRecord[]> => {
      const counted = engines.map(async ({ url }) => (await (await fetch(`${url}/counts`)).json()) as EngineRecord[]);
      return (await Promise.all(counted)).flat();
    };
    return { gateways, droppers, redis: redis.server, redisUrl: redis.url, recorder, keys, engineRecords, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startEngine(): Promise<{ url: string; program: RunningProgram }> {
  const file = join(import.meta.dirname, 'counting-engine.ts');
  const program = startProgram(process.execPath, ['--disable-warning=ExperimentalWarning', file], {});
  const line = await eventually('the engine listens', () => /\{.*\}/.exec(program.output())?.[0]);
  return { url: `http://127.0.0.1:${JSON.parse(line).port}`, program };
}

/** Keys of all tiers by turns, a third of them in each of three organisations. */
async function createKeys({ url, dataDir }: Gateway, count: number, tiers: readonly string[]): Promise<LoadKey[]> {
  const adminKey = readFileSync(join(dataDir, 'admin.key'), 'utf8').trim();
  const auth = createClient(AuthService, createGrpcTransport({ baseUrl: url }));
  const options = { headers: { authorization: `Bearer ${adminKey}` } };
  for (let i = 0; i < 3; i += 1) await auth.createOrganization({ organizationId: `org-${i}` }, options);
  const keys: LoadKey[] = [];
  for (let i = 0; i < count; i += 1) {
    const tier = tiers[i % tiers.length] as string;
    const organizationId = `org-${Math.floor(i / tiers.length) % 3}`;
    const { apiKey, secret } = await auth.createApiKey({ tier, organizationId }, options);
    keys.push({ keyId: apiKey?.keyId ?? '', secret });
  }
  return keys;
}

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { pino } from 'pino';
import { CredentialKind, PrincipalSchema, Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { EngineSchema, EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { LeaseStanding, QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { RegisterRequestSchema } from '../../gen/mesh/router/v1/registry_service_pb.ts';
import { quotaConfigSchema } from '../../services/quota/config.ts';
import { createQuotaContext } from '../../services/quota/context.ts';
import { quotaRoutes } from '../../services/quota/routes.ts';
import { routerConfigSchema } from '../../services/router/config.ts';
import { createRouterContext } from '../../services/router/context.ts';
import { closeStore, openStore } from '../../services/shared/store/store.ts';
import { createMeshClient } from '../../services/shared/transport/client.ts';
import type { Generate } from '../../services/shared/transport/generate.ts';
import { createLocalTransport } from '../../services/shared/transport/local-transport.ts';
import type { Routes } from '../../services/shared/transport/routes.ts';

/** A router of this process, with nothing before and nothing behind it. */
export interface RouterSubject {
  readonly generate: Generate;
  close(): Promise<void>;
}

const log = pino({ level: 'silent' });
const MANY = 1_000_000_000;
/** Three times per lease, as nodes do. */
const REPORT_EVERY_MS = 600;
const LEASE = { coveredCompletionTokens: MANY, limits: [] };

/** Quota that says yes. */
const agreeing: Routes = (router) =>
  router.service(QuotaService, {
    reserve: () => LEASE,
    settle: () => ({}),
    release: () => ({}),
    extend: ({ leases }) => ({
      leases: leases.map(() => ({ coveredCompletionTokens: MANY, standing: LeaseStanding.HELD })),
    }),
  });

/** One whose quota agrees to everything at once. */
export async function routerAlone(engine: Generate): Promise<RouterSubject> {
  return routerOver(agreeing, engine, async () => {});
}

/** One with the quota of a mesh, on SQLite, over the transport of one process. */
export async function routerWithQuota(engine: Generate): Promise<RouterSubject> {
  const directory = mkdtempSync(join(tmpdir(), 'inference-mesh-router-'));
  const store = await openStore({ sqlitePath: join(directory, 'mesh.db'), log });
  const tiers = { bench: { requests_per_minute: MANY / 10, requests_per_hour: MANY, tokens_per_hour: MANY } };
  const context = createQuotaContext(quotaConfigSchema.parse({ tiers }), { store, now: Date.now, log });
  return routerOver(quotaRoutes(context), engine, async () => {
    await context.close();
    await closeStore(store);
    rmSync(directory, { recursive: true });
  });
}

async function routerOver(quota: Routes, engine: Generate, end: () => Promise<void>): Promise<RouterSubject> {
  const authorizer = { authorize: () => Promise.reject(new Error('nobody calls')) };
  const transport = createLocalTransport([quota], { authorizer: authorizer as never, log });
  const caller = create(PrincipalSchema, {
    ...{ keyId: 'key', userId: 'user', organizationId: 'org', tier: 'bench' },
    ...{ kind: CredentialKind.API_KEY, scopes: [Scope.GENERATE] },
  });
  const context = createRouterContext(routerConfigSchema.parse({}), {
    // A caller who is remembered.
    authenticate: async () => caller,
    quota: createMeshClient(QuotaService, transport),
    generateAt: () => engine,
    inferenceAt: () => {
      throw new Error('no node is asked anything else');
    },
    now: Date.now,
    log,
  });
  const engines = [create(EngineSchema, { name: 'e', modelId: 'm', state: EngineState.READY, contextTokens: 8_192 })];
  const known = create(RegisterRequestSchema, { node: 'n', epoch: 1n, revision: 1n, address: '', engines });
  const report = (): void => {
    context.registry.report(known, { epochMs: Date.now(), monotonicMs: performance.now() });
  };
  report();
  const reporting = setInterval(report, REPORT_EVERY_MS);
  return {
    generate: context.generate,
    async close() {
      clearInterval(reporting);
      await context.close();
      await end();
    },
  };
}

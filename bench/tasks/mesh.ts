import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { TasksService } from '../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { startFakeEngine } from '../../test/engines/fake-engine.ts';
import { startMesh } from '../../test/harness/mesh.ts';
import { cpuNsOf, readTreeUsage } from '../harness/process-tree.ts';

/** A whole mesh in one process with SQLite, whose one worker is held by its first task. */
export interface MeshSubject {
  /** Submits over the public port, as any client: who it is is looked up and its limits are counted. */
  readonly ways: Readonly<Record<'gRPC' | 'REST', () => Promise<void>>>;
  /** What the process used so far, in microseconds. */
  cpuUs(): number;
  close(): Promise<void>;
}

/** Starts it. */
export async function startMeshSubject(): Promise<MeshSubject> {
  const engine = await startFakeEngine({ holdAtToken: 0 });
  const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
  const config = { inference: { models, devices: 'none' }, tasks: { concurrency: 1, time_limit_seconds: 3_600 } };
  const mesh = await startMesh('one process', { config });
  const transport = createGrpcTransport({ baseUrl: mesh.url });
  const admin = { headers: { authorization: `Bearer ${mesh.adminKey}` } };
  const { secret } = await createClient(AuthService, transport).createApiKey({ tier: 'unlimited' }, admin);
  const tasks = createClient(TasksService, transport);
  const prompt = 'word '.repeat(200);
  const request = { model: 'fake', prompt: { input: { case: 'text' as const, value: prompt } } };
  return {
    ways: {
      async gRPC() {
        await tasks.submit({ request }, { headers: { 'x-api-key': secret } });
      },
      async REST() {
        const headers = { 'x-api-key': secret, 'content-type': 'application/json' };
        const answer = await fetch(`${mesh.url}/generate`, {
          method: 'POST',
          headers,
          body: JSON.stringify({ prompt }),
        });
        if (answer.status !== 202) throw new Error(`a task was answered with ${answer.status}: ${await answer.text()}`);
        await answer.text();
      },
    },
    cpuUs: () => cpuNsOf(readTreeUsage(mesh.processes.get('all')?.child.pid)) / 1_000,
    async close() {
      await Promise.all([...mesh.processes.values()].map((program) => program.stop('SIGKILL')));
      await mesh.stop();
      await engine.stop();
    },
  };
}

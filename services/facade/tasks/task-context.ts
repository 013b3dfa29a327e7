import type { Client } from '@connectrpc/connect';
import { z } from 'zod';
import type { TasksService } from '../../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { ExchangeResources } from '../openai/exchange.ts';
import type { QueueDefaults } from './queue-request.ts';

/** What the routes of tasks need. */
export interface TaskRouteContext extends ExchangeResources {
  /** Called on behalf of the caller, with the caller's credential. */
  readonly tasks: Client<typeof TasksService>;
  readonly queueDefaults: QueueDefaults;
  readonly keepAliveMs: number;
}

/** What examples call a task. */
export const EXAMPLE_TASK_ID = '0c9f3f5b1c2d4e5f8a9b0c1d2e3f4a5b';

/** The member of the path. */
export const taskParams = z.object({
  task_id: z
    .string()
    .describe('As `POST /generate` told it.')
    .meta({ examples: [EXAMPLE_TASK_ID] }),
});

/**
 * The task that a path names.
 *
 * @throws MeshError NOT_FOUND for what can be no id.
 */
export function taskIdOf({ params }: { readonly params: unknown }): string {
  const { task_id: taskId } = params as { task_id?: string };
  if (!taskId || taskId.length > 128)
    throw new MeshError('NOT_FOUND', 'Task not found', { metadata: { kind: 'task' } });
  return taskId;
}

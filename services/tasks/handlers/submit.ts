import { create } from '@bufbuild/protobuf';
import { durationMs } from '@bufbuild/protobuf/wkt';
import type { MethodImpl } from '@connectrpc/connect';
import { SubmitResponseSchema, type TasksService } from '../../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import { clientIpKey } from '../../shared/interceptors/client-ip.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import { traceOf } from '../../shared/interceptors/trace-served.ts';
import type { TasksContext } from '../context.ts';
import { submitTask } from '../submissions.ts';
import { taskMessage } from '../task-message.ts';

/** Accepts a task. */
export function submit(context: TasksContext): MethodImpl<typeof TasksService.method.submit> {
  return async ({ request, idempotencyKey, timeLimit }, call) => {
    if (!request) throw invalidField('request', 'this field is required');
    const timeLimitMs = timeLimit && durationMs(timeLimit);
    if (timeLimitMs !== undefined && timeLimitMs <= 0) throw invalidField('time_limit', 'must be more than 0');
    const { task, limits } = await submitTask(context.submissions, {
      ...{ request, idempotencyKey, timeLimitMs },
      principal: principalOf(call),
      clientIp: call.values.get(clientIpKey),
      trace: traceOf(call),
    });
    return create(SubmitResponseSchema, { task: taskMessage(task), limits: [...limits] });
  };
}

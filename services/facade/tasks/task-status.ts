import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Task } from '../../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { CALL_TIMEOUT_MS, requestOptions } from '../http/caller.ts';
import type { Endpoint } from '../http/endpoint.ts';
import { JSON_TYPE } from '../http/json-type.ts';
import { rateLimitHeaders } from '../http/rate-limit-headers.ts';
import { completedSchema, errorSchema, resultBody, statusBody, statusSchema } from './task-answer.ts';
import { EXAMPLE_TASK_ID, type TaskRouteContext, taskIdOf, taskParams } from './task-context.ts';

const waiting = {
  status: 'queued',
  task_id: EXAMPLE_TASK_ID,
  message: 'Your request is waiting in the queue.',
  position: 3,
};

const completed = {
  status: 'completed',
  task_id: EXAMPLE_TASK_ID,
  result: 'Paris.',
  metrics: {
    ...{ queue_wait_time: 0.012, processing_time: 0.4, total_time: 0.412 },
    ...{ prompt_tokens: 7, completion_tokens: 2, tokens_per_second: 5 },
  },
};

const UNKNOWN = 'There is no such task, or it is another’s, or its time is over.';

/** `GET /status/{task_id}`. */
export const taskStatusEndpoint: Endpoint<TaskRouteContext> = {
  method: 'GET',
  path: '/status/{task_id}',
  access: 'caller',
  tag: 'Tasks',
  summary: 'Where a task is',
  description: 'A queued task also says its `position`.',
  params: taskParams,
  answers: {
    200: { description: 'Where it is.', json: { name: 'TaskStatus', schema: statusSchema, example: waiting } },
  },
  errors: { 404: UNKNOWN },
  handler: (context) => (request, reply) => answer(context, request, reply, (task) => [200, statusBody(task)]),
};

/** `GET /result/{task_id}`. */
export const taskResultEndpoint: Endpoint<TaskRouteContext> = {
  method: 'GET',
  path: '/result/{task_id}',
  access: 'caller',
  tag: 'Tasks',
  summary: 'What came of a task',
  description: 'A failed task is answered with 200 and `status` "error".',
  params: taskParams,
  answers: {
    200: {
      description: 'It has ended.',
      json: { name: 'TaskResult', schema: z.union([completedSchema, errorSchema]), example: completed },
    },
    202: { description: 'It has not.', json: { name: 'TaskStatus', schema: statusSchema, example: waiting } },
  },
  errors: { 404: UNKNOWN },
  handler: (context) => (request, reply) =>
    answer(context, request, reply, (task) => {
      const result = resultBody(task);
      return result ? [200, result] : [202, statusBody(task)];
    }),
};

/** `DELETE /tasks/{task_id}`. */
export const cancelTaskEndpoint: Endpoint<TaskRouteContext> = {
  method: 'DELETE',
  path: '/tasks/{task_id}',
  access: 'caller',
  tag: 'Tasks',
  summary: 'Cancel a task',
  description: 'A queued task never runs; of one that runs the engine is stopped, and what it made is charged.',
  params: taskParams,
  answers: {
    200: {
      description: 'It is cancelled.',
      json: {
        name: 'TaskStatus',
        schema: statusSchema,
        example: {
          status: 'failed',
          task_id: EXAMPLE_TASK_ID,
          message: 'Your request has failed. /result/{task_id} says why.',
        },
      },
    },
  },
  errors: { 404: UNKNOWN, 409: 'It has ended already.' },
  handler:
    ({ tasks, clientIp, limitBook }) =>
    async (request, reply) => {
      const options = requestOptions(request, clientIp, { timeoutMs: CALL_TIMEOUT_MS });
      const { task } = await tasks.cancel({ taskId: taskIdOf(request) }, options);
      if (!task) throw new Error('a cancelled task is missing');
      const limits = await limitBook.of(request);
      await reply
        .headers(rateLimitHeaders(limits))
        .type(JSON_TYPE)
        .send(JSON.stringify(statusBody(task)));
    },
};

async function answer(
  { tasks, clientIp, limitBook }: TaskRouteContext,
  request: FastifyRequest,
  reply: FastifyReply,
  bodyOf: (task: Task) => readonly [status: number, body: object],
): Promise<void> {
  const options = requestOptions(request, clientIp, { timeoutMs: CALL_TIMEOUT_MS });
  const { task } = await tasks.get({ taskId: taskIdOf(request) }, options);
  if (!task) throw new Error('a known task is missing');
  const [status, body] = bodyOf(task);
  const limits = await limitBook.of(request);
  await reply.code(status).headers(rateLimitHeaders(limits)).type(JSON_TYPE).send(JSON.stringify(body));
}

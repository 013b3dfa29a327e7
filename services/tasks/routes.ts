import type { ConnectRouter } from '@connectrpc/connect';
import { TasksService } from '../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import type { TasksContext } from './context.ts';
import { cancel } from './handlers/cancel.ts';
import { get } from './handlers/get.ts';
import { list } from './handlers/list.ts';
import { submit } from './handlers/submit.ts';
import { watch } from './handlers/watch.ts';

/** The service of tasks. */
export function tasksRoutes(context: TasksContext): (router: ConnectRouter) => void {
  return (router) => {
    router.service(TasksService, {
      submit: submit(context),
      get: get(context),
      watch: watch(context),
      cancel: cancel(context),
      list: list(context),
    });
  };
}

import type { ConnectRouter } from '@connectrpc/connect';
import { TasksService } from '../../gen/mesh/tasks/v1/tasks_service_pb.ts';

/** The service of the tasks role. Its methods are part of the contract but answer UNIMPLEMENTED in this version. */
export function tasksRoutes(): (router: ConnectRouter) => void {
  return (router) => {
    router.service(TasksService, {});
  };
}

import { createRouterTransport } from '@connectrpc/connect';
import { expect, test } from 'vitest';
import { RegistryService } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { createMeshClient } from './client.ts';
import { type Routes, withoutMethods } from './routes.ts';

test('methods that are left out are free for others to register; the rest stays', async () => {
  const routes: Routes = (router) =>
    router
      .service(RouterService, {
        listModels: () => ({ models: [{ id: 'whole' }] }),
        tokenize: () => ({ tokenIds: [1] }),
      })
      .rpc(RegistryService.method.listNodes, () => ({ defaultModel: 'one' }));
  const leftOut = new Set<object>([RouterService.method.listModels, RegistryService.method.listNodes]);
  const transport = createRouterTransport((router) => {
    withoutMethods(routes, (method) => leftOut.has(method))(router);
    router.rpc(RouterService.method.listModels, () => ({ models: [{ id: 'other' }] }));
  });
  const client = createMeshClient(RouterService, transport);
  expect((await client.listModels({})).models[0]?.id).toBe('other');
  expect((await client.tokenize({})).tokenIds).toEqual([1]);
  await expect(client.embed({})).rejects.toThrow(/unimplemented/);
  await expect(createMeshClient(RegistryService, transport).listNodes({})).rejects.toThrow(/unimplemented/);
});

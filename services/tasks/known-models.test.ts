import { create } from '@bufbuild/protobuf';
import type { Client } from '@connectrpc/connect';
import { expect, test } from 'vitest';
import { PrincipalSchema } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { ModelRole } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { ModelSchema, type RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { KnownModels } from './known-models.ts';

const models = [
  create(ModelSchema, { id: 'org/one', names: ['one', 'fast'], isDefault: true }),
  create(ModelSchema, { id: 'org/two', names: ['two'] }),
];
const known = (listed = models): KnownModels =>
  new KnownModels({ listModels: async () => ({ models: listed }) } as unknown as Client<typeof RouterService>);
const only = (...granted: string[]) => create(PrincipalSchema, { models: granted });
const asking = (model: string, modelRole: ModelRole = ModelRole.UNSPECIFIED) => ({ model, modelRole });

test('a model is found by its id and its names, the default by none', async () => {
  for (const name of ['org/one', 'fast', '']) expect(await known().find(asking(name), only())).toBe(models[0]);
  await expect(known().find(asking('three'), only())).rejects.toMatchObject({ reason: 'MODEL_NOT_FOUND' });
  await expect(known(models.slice(1)).find(asking(''), only())).rejects.toThrow('There is no default model.');
});

test('it must be granted', async () => {
  expect(await known().find(asking('org/two'), only('two'))).toBe(models[1]);
  expect(await known().find(asking('two'), only('*'))).toBe(models[1]);
  await expect(known().find(asking('one'), only('two'))).rejects.toMatchObject({ reason: 'MODEL_NOT_GRANTED' });
});

test('whose default stands for a role the run finds out', async () => {
  const role = ModelRole.TEXT_TO_SQL;
  expect(await known().find(asking('', role), only('two'))).toBeUndefined();
  expect(await known().find(asking('two', role), only('two'))).toBe(models[1]);
});

test('a router that does not answer, or has seen no node, keeps nobody from submitting', async () => {
  const away = { listModels: () => Promise.reject(new Error('away')) } as unknown as Client<typeof RouterService>;
  expect(await new KnownModels(away).find(asking('three'), only())).toBeUndefined();
  expect(await known([]).find(asking('three'), only())).toBeUndefined();
});

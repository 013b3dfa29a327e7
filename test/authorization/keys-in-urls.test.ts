import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { methodName } from '../../services/shared/interceptors/access.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { everyRoute, USES } from './every-route.ts';
import { everyMethod } from './every-service.ts';
import { openWire, type Wire } from './wire.ts';

/** Names that systems give to a key in a URL; two of them are no more than a guess. */
const NAMES = ['api_key', 'Api-Key', 'access_token', 'key', 'token'];

const SECRET = 'im_UrlCanary12_0123456789';

describe.each(arrangements())('keys in URLs, %s', (arrangement) => {
  let mesh: TestMesh;
  let wire: Wire;

  beforeAll(async () => {
    mesh = await startMesh(arrangement, { args: ['--model', 'none', '--log-level', 'trace'] });
    wire = openWire(mesh.url);
  });
  afterAll(async () => {
    wire?.close();
    await mesh?.stop();
  });

  test('of routes, methods and paths that there are not, reach no log and no answer', async () => {
    const routes = everyRoute().map(({ method, url }) => [method, USES[`${method} ${url}`]?.path ?? url] as const);
    const methods = (await everyMethod()).map(({ method }) => ['POST', `/${methodName(method)}`] as const);
    const nothing = [
      ['GET', '/v1/nothing'],
      ['POST', '/'],
      ['PUT', '/v1/models'],
      ['GET', '/%ZZ'],
      ['GET', '//'],
    ] as const;
    for (const [method, path] of [...routes, ...methods, ...nothing]) {
      for (const name of NAMES) {
        const body = method === 'POST' ? Buffer.from('{') : undefined;
        const headers = [['content-type', 'application/json']] as const;
        const request = { method, path: `${path}?a=b&${name}=${SECRET}`, headers, body };
        const answer = await wire.http1(request);
        const told = answer.body.toString() + JSON.stringify(answer.headers);
        expect([method, path, told.includes(SECRET)]).toEqual([method, path, false]);
      }
    }
    const logged = [...mesh.processes.values()].map((program) => program.output()).join('\n');
    expect(logged).toContain('"level"');
    expect(logged.split('\n').filter((line) => line.includes(SECRET))).toEqual([]);
  });
});

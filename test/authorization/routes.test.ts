import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { type Cast, MODEL, makeCast, type Persona } from './cast.ts';
import { type Cell, headersOf, surprises } from './cells.ts';
import { type CredentialForm, type Meaning, otherForms, truthfulForms } from './credential-forms.ts';
import { asksForModel, everyRoute, type Route, type RouteUse, scopesAsked, USES } from './every-route.ts';
import { httpOutcome } from './http-outcome.ts';
import { openWire } from './wire.ts';

describe.each(arrangements())('every route and every credential, %s', (arrangement) => {
  let mesh: TestMesh;
  let engine: FakeEngine;
  let cast: Cast;

  beforeAll(async () => {
    engine = await startFakeEngine();
    const models = [{ name: MODEL, engine: 'openai', base_url: engine.baseUrl }];
    mesh = await startMesh(arrangement, { config: { inference: { models } } });
    cast = await makeCast(mesh);
  });
  afterAll(async () => {
    await mesh?.stop();
    await engine?.stop();
  });

  function cell(route: Route, use: RouteUse, form: CredentialForm, caller: Persona): Cell {
    const body = use.body && Buffer.from(JSON.stringify(use.body));
    const path = `${use.path ?? route.url}${form.query ?? ''}`;
    return {
      name: `${route.method} ${route.url}, ${form.name}, ${caller.name}`,
      isHttp1: form.isHttp1 === true,
      request: {
        method: route.method,
        path,
        headers: [['content-type', 'application/json'], ...headersOf(form)],
        body,
      },
      expected: expectedAtRoute(route, use, meaningAt(route, form), caller),
      outcome: httpOutcome,
    };
  }

  test('the public port decides as the tables of routes and of methods say', async () => {
    const meshToken =
      arrangement === 'one process' ? readFileSync(join(mesh.dataDir('auth'), 'mesh.token'), 'utf8').trim() : '';
    const others = otherForms(cast, meshToken).map((form) => ({ form, caller: cast.admin }));
    const truthful = cast.personas.flatMap((caller) => truthfulForms(caller).map((form) => ({ form, caller })));
    const cells = everyRoute().flatMap((route) => {
      const use = USES[`${route.method.replace('HEAD', 'GET')} ${route.url}`];
      if (!use) throw new Error(`${route.method} ${route.url} has no entry here`);
      return [...truthful, ...others].map(({ form, caller }) => cell(route, use, form, caller));
    });
    expect(cells.length).toBeGreaterThan(1_000);
    const wire = openWire(mesh.url);
    try {
      expect(await surprises(wire, cells)).toEqual([]);
    } finally {
      wire.close();
    }
  });
});

/** HTTP knows no processes of the mesh: what they say is nothing. */
const WHO_OVER_HTTP: Partial<Record<Meaning, Meaning>> = { peer: 'anonymous', vouched: 'caller' };

/** Where a key may stand in the URL, it is one as any other. */
function meaningAt({ keyInUrl }: Route, { meaning, query = '' }: CredentialForm): Meaning {
  return meaning === 'in the URL' && keyInUrl && query.startsWith('?api_key=') ? 'caller' : meaning;
}

/** What a route must say, from who may call it and what the methods behind it ask for. */
function expectedAtRoute(route: Route, use: RouteUse, meaning: Meaning, caller: Persona): string {
  if (route.access === 'open') return 'ADMITTED';
  const who = WHO_OVER_HTTP[meaning] ?? meaning;
  // Its answer has no body that says what is wrong.
  if (route.method === 'HEAD' && (who === 'in the URL' || who === 'two')) return 'BAD_REQUEST';
  if (who === 'in the URL') return 'KEY_IN_URL';
  if (who === 'two') return 'CREDENTIAL_CONFLICT';
  if (who !== 'caller') return 'UNAUTHENTICATED';
  const asked = use.decidedBy.flatMap(scopesAsked);
  const isAdmin = caller.scopes.includes(Scope.ADMIN);
  if (!isAdmin && asked.some((scope) => !caller.scopes.includes(scope))) return 'DENIED';
  const isGranted = caller.models.length === 0 || caller.models.includes(MODEL);
  return isGranted || !asksForModel(use) ? 'ADMITTED' : 'DENIED';
}

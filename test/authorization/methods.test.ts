import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { methodName } from '../../services/shared/interceptors/access.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { type Cast, makeCast, type Persona } from './cast.ts';
import { type Cell, headersOf, surprises } from './cells.ts';
import { type CredentialForm, otherForms, truthfulForms } from './credential-forms.ts';
import { everyMethod, type Guarded } from './every-service.ts';
import { expectedAtGate } from './expected-outcome.ts';
import { rpcOutcome, unreadableCall } from './rpc-outcome.ts';
import { openWire } from './wire.ts';

/** What the arrangement of six processes gives all of them. */
const SHARED_TOKEN = 'test-token-0123456789abcdef0123456789abcdef';

describe.each(arrangements())('every method and every credential, %s', (arrangement) => {
  let mesh: TestMesh;
  let cast: Cast;
  let methods: Guarded[];
  let meshToken: string;

  beforeAll(async () => {
    methods = await everyMethod();
    mesh = await startMesh(arrangement, { args: ['--model', 'none'] });
    cast = await makeCast(mesh);
    const isOne = arrangement === 'one process';
    meshToken = isOne ? readFileSync(join(mesh.dataDir('auth'), 'mesh.token'), 'utf8').trim() : SHARED_TOKEN;
  });
  afterAll(async () => await mesh?.stop());

  function cell({ method, access }: Guarded, form: CredentialForm, caller: Persona): Cell {
    const isBidi = method.methodKind === 'bidi_streaming' || method.methodKind === 'client_streaming';
    return {
      name: `${methodName(method)}, ${form.name}, ${caller.name}`,
      isHttp1: form.isHttp1 === true,
      request: unreadableCall(method, headersOf(form), form.query ?? ''),
      expected: form.isHttp1 && isBidi ? 'NO_HTTP1' : expectedAtGate(access, form.meaning, caller),
      outcome: (answer) => rpcOutcome(method, answer),
    };
  }

  /** Every form for every method: whoever says who he is does so in all ways, with every restriction. */
  function cells(): Cell[] {
    const truthful = cast.personas.flatMap((caller) => truthfulForms(caller).map((form) => ({ form, caller })));
    const others = otherForms(cast, meshToken).map((form) => ({ form, caller: cast.admin }));
    return methods.flatMap((guarded) =>
      [...truthful, ...others].map(({ form, caller }) => cell(guarded, form, caller)),
    );
  }

  test('the public port decides as the authorization table says', async () => {
    const all = cells();
    expect(all.length).toBeGreaterThan(5_000);
    expect(await surprisesAt(mesh.url, all)).toEqual([]);
  });

  test('whoever is not known, or not any more, is told the same, byte by byte', async () => {
    const wire = openWire(mesh.url);
    const unknown = otherForms(cast, meshToken).filter(({ meaning }) => meaning === 'unknown');
    const answers = new Set<string>();
    for (const form of unknown) {
      const call = unreadableCall(AuthService.method.listApiKeys, headersOf(form), '');
      const { status, body } = await wire.http2(call);
      const rest = await wire.http2({ method: 'GET', path: '/v1/models', headers: headersOf(form) });
      answers.add(`${status} ${body} ${rest.status} ${rest.body}`);
    }
    wire.close();
    expect([...answers]).toEqual([expect.stringMatching(/^401 .* 401 .*Invalid API key/)]);
  });

  test.runIf(arrangement === 'six processes')('so does the port of every role, of what it serves', async () => {
    const [caller] = cast.personas;
    if (!caller) throw new Error('there are several');
    const forms = [...otherForms(cast, meshToken), ...truthfulForms(caller)];
    const peer = forms.find(({ meaning }) => meaning === 'peer');
    if (!peer) throw new Error('a peer is one of the forms');
    const served = new Set<string>();
    for (const [role, url] of mesh.urls) {
      if (role === 'facade') continue;
      // Whether a port knows a method does not depend on who asks.
      const unknown = new Set(await notServed(url, methods, peer));
      const here = methods.filter(({ method }) => !unknown.has(methodName(method)));
      for (const { method } of here) served.add(methodName(method));
      const cells = here.flatMap((guarded) => forms.map((form) => cell(guarded, form, byForm(form, caller))));
      expect([role, await surprisesAt(url, cells)]).toEqual([role, []]);
    }
    expect(methods.map(({ method }) => methodName(method)).filter((name) => !served.has(name))).toEqual([]);
  });

  /** The forms that are not the persona's own use the admin's credentials. */
  function byForm(form: CredentialForm, caller: Persona): Persona {
    return truthfulForms(caller).some(({ name }) => name === form.name) ? caller : cast.admin;
  }

  async function notServed(url: string, all: readonly Guarded[], peer: CredentialForm): Promise<string[]> {
    const asked = all.map((guarded) => ({ ...cell(guarded, peer, cast.admin), name: methodName(guarded.method) }));
    const others = await surprisesAt(url, asked);
    expect(others.filter((text) => !text.includes(': NOT_SERVED '))).toEqual([]);
    return others.map((text) => text.split(':', 1)[0] ?? '');
  }

  async function surprisesAt(url: string, all: readonly Cell[]): Promise<string[]> {
    const wire = openWire(url);
    try {
      return await surprises(wire, all);
    } finally {
      wire.close();
    }
  }
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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
    const wire = openWire(mesh.url);
    try {
      expect(await surprises(wire, all)).toEqual([]);
    } finally {
      wire.close();
    }
  });
});

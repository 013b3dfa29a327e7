import { createRemoteJWKSet, jwtVerify } from 'jose';
import { describe, expect, test } from 'vitest';
import { createHashQueue } from '../../services/auth/hash-queue.ts';
import { createPasswords } from '../../services/auth/password.ts';
import { arrangements, startMesh } from '../harness/mesh.ts';

const PASSWORD = 'correct horse battery';

describe.each(arrangements())('logins over REST, %s', (arrangement) => {
  test('a user logs in and calls with the token, which others can verify; nobody else does', async () => {
    const hash = await createPasswords(createHashQueue({ running: 1, waiting: 1 })).hash(PASSWORD);
    const auth = { users: [{ name: 'ann', password_hash: hash, organization: 'acme' }] };
    const mesh = await startMesh(arrangement, { config: { auth }, args: ['--model', 'none'] });
    try {
      const login = (body: object) =>
        fetch(`${mesh.url}/auth/login`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        });
      const models = async (token: string, header = 'authorization') =>
        (await fetch(`${mesh.url}/v1/models`, { headers: { [header]: token } })).status;

      const answer = await login({ username: 'ann', password: PASSWORD });
      expect(answer.status).toBe(200);
      const { access_token: token, ...rest } = (await answer.json()) as { access_token: string };
      expect(rest).toEqual({ token_type: 'bearer', expires_in: 86_400 });
      expect(await models(`Bearer ${token}`)).toBe(200);
      expect(await models(token, 'x-api-key')).toBe(200);

      const keys = createRemoteJWKSet(new URL(`${mesh.url}/.well-known/jwks.json`));
      const { payload, protectedHeader } = await jwtVerify(token, keys, { issuer: 'inference-mesh' });
      expect(payload).toMatchObject({ sub: 'ann', org: 'acme', tier: 'standard', scope: 'generate' });
      expect(protectedHeader.alg).toBe('EdDSA');

      const [header, claims, signature] = token.split('.');
      const admin = Buffer.from(JSON.stringify({ ...payload, scope: 'admin' })).toString('base64url');
      for (const forged of [`${header}.${admin}.${signature}`, `${header}.${claims}.`, `${header}.${claims}.AAAA`]) {
        expect(await models(`Bearer ${forged}`)).toBe(401);
      }
      // A token is not more than its user: this asks for the scope of an admin.
      const manage = await fetch(`${mesh.url}/unload_model`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
      });
      expect(manage.status).toBe(403);

      const refused = await Promise.all(
        ['ann', 'nobody'].map(async (username) => {
          const response = await login({ username, password: 'something else' });
          return [response.status, await response.text()];
        }),
      );
      expect(refused[0]).toEqual(refused[1]);
      expect(refused[0]).toEqual([401, expect.stringContaining('Invalid username or password')]);
    } finally {
      await mesh.stop();
    }
  });
});

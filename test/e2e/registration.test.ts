import { describe, expect, test } from 'vitest';
import { arrangements, startMesh } from '../harness/mesh.ts';

describe.each(arrangements())('registration, %s', (arrangement) => {
  test('an admin makes keys; anyone does where registration is open', async () => {
    for (const isOpen of [false, true]) {
      const config = { auth: { open_registration: isOpen } };
      const mesh = await startMesh(arrangement, { config, args: ['--model', 'none'] });
      try {
        const generate = (headers: Record<string, string>) =>
          fetch(`${mesh.url}/generate_apikey`, {
            method: 'POST',
            headers: { 'content-type': 'application/json', ...headers },
            body: JSON.stringify({ username: 'ann' }),
          });
        const made = await generate({ 'x-api-key': mesh.adminKey });
        expect(made.status).toBe(200);
        const { api_key: key } = (await made.json()) as { api_key: string };
        const models = await fetch(`${mesh.url}/v1/models`, { headers: { 'x-api-key': key } });
        expect([models.status, models.headers.get('x-ratelimit-limit-minute')]).toEqual([200, '30']);
        expect((await generate({ 'x-api-key': key })).status).toBe(isOpen ? 200 : 403);
        expect((await generate({})).status).toBe(isOpen ? 200 : 401);
        expect((await generate({ 'x-api-key': 'wrong' })).status).toBe(401);
        if (!isOpen) continue;
        // By the address that a trusted proxy names: five, then no more.
        const statuses: number[] = [];
        for (let i = 0; i < 6; i += 1) statuses.push((await generate({ 'x-forwarded-for': '192.0.2.7' })).status);
        expect(statuses).toEqual([200, 200, 200, 200, 200, 429]);
      } finally {
        await mesh.stop();
      }
    }
  });
});

import { expect, test } from 'vitest';
import { masked } from './masked.ts';

test('secrets go at any depth, the rest stays', () => {
  const value = {
    redisUrl: 'redis://:hunter2@host',
    server: { mesh_token: 'hunter2', port: 1 },
    auth: { api_keys: [{ hash: 'hunter2', user: 'a' }] },
    keys: { api_keys: ['hunter2'] },
    inference: { models: [{ base_url: 'http://u:hunter2@h/v1', env: { A_PAT: 'hunter2' } }] },
    roles: new Set(['auth']),
    peers: new Map([['auth', 'http://a']]),
  };
  const shown = JSON.stringify(masked(value));
  expect(shown).not.toContain('hunter2');
  expect(masked(value)).toMatchObject({ server: { port: 1 }, roles: ['auth'], peers: { auth: 'http://a' } });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadConfig } from './config.ts';

describe('server.mesh_tls', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-config-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  function load(server: object, env: Record<string, string> = {}) {
    writeFileSync(join(directory, 'mesh.yaml'), JSON.stringify({ server }));
    return loadConfig([], env, directory);
  }

  const files = { cert: 'own.crt', key: 'own.key', ca: '/etc/mesh/ca.crt' };

  test('names files from the working directory', () => {
    const absolute = { cert: join(directory, 'own.crt'), key: join(directory, 'own.key'), ca: '/etc/mesh/ca.crt' };
    expect(load({ mesh_tls: files }).server.mesh_tls).toEqual({ ...absolute, domain: 'mesh' });
    expect(load({}).server.mesh_tls).toBeUndefined();
  });

  test.each([
    [{ mesh_tls: { cert: 'own.crt' } }, 'server.mesh_tls.key'],
    [{ mesh_tls: { ...files, cacert: 'x' } }, 'cacert'],
    [{ mesh_tls: { ...files, domain: '*.mesh' } }, 'server.mesh_tls.domain'],
    [{ mesh_tls: files, advertise_url: 'http://10.0.0.7:7004' }, 'server.advertise_url'],
  ])('%j is refused by name', (server, name) => {
    expect(() => load(server)).toThrow(name);
  });

  test('lets no other process be called without TLS', () => {
    const env = { MESH_ROLES: 'quota', REDIS_URL: 'redis://127.0.0.1:1' };
    const peer = (url: string) => () => load({ mesh_tls: files }, { ...env, MESH_PEER_AUTH: url });
    expect(peer('http://auth:7001')).toThrow(
      /^MESH_PEER_AUTH: must be https:\/\/host:port, since server.mesh_tls is set$/,
    );
    expect(peer('https://auth:7001')).not.toThrow();
  });
});

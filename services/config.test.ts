import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, describe, expect, test } from 'vitest';
import { loadConfig } from './config.ts';
import { listenerSettings } from './listener-settings.ts';
import { httpsRuleOf } from './shared/interceptors/https-rule.ts';
import { SESSION_LIFETIME } from './shared/transport/session-lifetime.ts';

describe('server.http2', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-config-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  function lifetime(http2: object) {
    writeFileSync(join(directory, 'mesh.yaml'), JSON.stringify({ server: { http2 } }));
    return listenerSettings(loadConfig([], {}, directory).server, true, pino({ level: 'silent' })).lifetime;
  }

  test('is told to listeners in milliseconds', () => {
    expect(lifetime({})).toEqual(SESSION_LIFETIME);
    const lived = { maxAgeMs: 600_000, pingIntervalMs: 10_000, pingTimeoutMs: 5_000 };
    expect(lifetime({ max_age_seconds: 600, ping_seconds: 10, ping_timeout_seconds: 5 })).toEqual(lived);
  });

  test.each([
    [{ max_age_seconds: 0 }, 'server.http2.max_age_seconds'],
    [{ ping_seconds: 0 }, 'server.http2.ping_seconds'],
    [{ ping_timeout_seconds: 'soon' }, 'server.http2.ping_timeout_seconds'],
    [{ max_age: 60 }, 'max_age'],
  ])('%j is refused by name', (http2, name) => {
    expect(() => lifetime(http2)).toThrow(name);
  });
});

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

describe('server, what concerns the port', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-config-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  function load(server: object, env: Record<string, string> = {}) {
    writeFileSync(join(directory, 'mesh.yaml'), JSON.stringify({ server }));
    return loadConfig([], env, directory);
  }

  test('a certificate comes from the environment before the file, from the working directory', () => {
    const inFile = { tls: { cert: 'file.crt', key: 'file.key' } };
    expect(load(inFile).server.tls?.cert).toBe(join(directory, 'file.crt'));
    expect(load(inFile, { MESH_TLS_CERT: 'env.crt', MESH_TLS_KEY: '/run/env.key' }).server.tls).toEqual({
      cert: join(directory, 'env.crt'),
      key: '/run/env.key',
    });
    for (const env of [{ MESH_TLS_CERT: 'x' }, { MESH_TLS_KEY: 'x' }]) {
      expect(() => load(inFile, env)).toThrow(/^MESH_TLS_CERT, MESH_TLS_KEY: set both, or neither$/);
    }
  });

  test('with a certificate callers elsewhere need HTTPS, unless the file says otherwise', () => {
    const tls = { cert: 'own.crt', key: 'own.key' };
    const isRequired = (server: object) => httpsRuleOf(load(server).server) !== undefined;
    expect(isRequired({})).toBe(false);
    expect(isRequired({ tls })).toBe(true);
    expect(isRequired({ tls, require_https: false })).toBe(false);
    expect(isRequired({ require_https: true })).toBe(true);
  });

  test.each([
    [{ tls: { cert: 'own.crt' } }, 'server.tls.key'],
    [{ tls: { cert: 'own.crt', key: 'own.key', ca: 'x' } }, 'ca'],
    [{ allowed_hosts: ['chat.example.com:8000'] }, 'server.allowed_hosts.0'],
    [{ allowed_hosts: ['https://chat.example.com'] }, 'server.allowed_hosts.0'],
    [{ max_connections: 0 }, 'server.max_connections'],
  ])('%j is refused by name', (server, name) => {
    expect(() => load(server)).toThrow(name);
  });
});

describe('several routers and fallbacks', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-config-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  function load(file: object, env: Record<string, string> = {}) {
    writeFileSync(join(directory, 'mesh.yaml'), JSON.stringify(file));
    return loadConfig([], env, directory);
  }

  const two = { MESH_PEER_ROUTER: 'http://a:7003,http://b:7003', MESH_PEER_AUTH: 'http://auth:7001' };

  test('engines are announced to each of them; a facade has one', () => {
    expect(load({}, { ...two, MESH_ROLES: 'inference' }).routers).toEqual(['http://a:7003', 'http://b:7003']);
    expect(load({}, two).routers).toHaveLength(2);
    expect(() => load({}, { ...two, MESH_ROLES: 'inference,facade' })).toThrow(/^MESH_PEER_ROUTER: .*calls one router/);
  });

  test('who is announced elsewhere says where it is', () => {
    const server = { host: '0.0.0.0' };
    expect(() => load({ server }, two)).toThrow(/^server.advertise_url/);
    expect(() => load({ server: { ...server, advertise_url: 'http://10.0.0.7:8000' } }, two)).not.toThrow();
    expect(() => load({ server })).not.toThrow();
  });

  test('a fallback or a weight of what is not there ends the start', () => {
    const attached = (name: string) => ({ name, engine: 'openai', model: name, base_url: 'http://127.0.0.1:1/v1' });
    const inference = { models: [attached('chat'), attached('small')] };
    const withFallbacks =
      (fallbacks: object, more: object = {}) =>
      () =>
        load({ inference, router: { fallbacks, ...more } });
    expect(withFallbacks({ chat: ['small'] })).not.toThrow();
    expect(withFallbacks({ chat: ['gpt'] }, { aliases: { gpt: 'small' } })).not.toThrow();
    expect(withFallbacks({ chat: ['smal'] })).toThrow(/router.fallbacks.chat: no configured model serves 'smal'/);
    expect(withFallbacks({ chta: ['small'] })).toThrow(/router.fallbacks.chta: no configured model serves 'chta'/);
    expect(withFallbacks({}, { text2sql: 'smal' })).toThrow(/router.text2sql: no configured model serves 'smal'/);
    expect(withFallbacks({}, { text2sql: 'gpt', aliases: { gpt: 'small' } })).not.toThrow();
    expect(withFallbacks({ chat: [] })).toThrow(/router.fallbacks.chat/);
    expect(withFallbacks({}, { weights: { chat: 2, 'host-1/small': 0.5 } })).not.toThrow();
    expect(withFallbacks({}, { weights: { 'host-1/smal': 2 } })).toThrow(/router.weights.host-1\/smal: .* 'smal'/);
    expect(withFallbacks({}, { weights: { chat: 0 } })).toThrow(/router.weights.chat/);
  });

  test('a priority of a tier that does not exist ends the start', () => {
    const withPriorities = (tier_priorities: object) => () => load({ router: { queue: { tier_priorities } } });
    expect(withPriorities({ premium: 2, standard: 1 })).not.toThrow();
    expect(withPriorities({ premum: 2 })).toThrow(/router.queue.tier_priorities.premum: no tier 'premum'/);
    expect(withPriorities({ premium: -1 })).toThrow(/router.queue.tier_priorities.premium/);
    const ofTasks = (tier_priorities: object) => () => load({ tasks: { tier_priorities } });
    expect(ofTasks({ premium: 2, free: -1 })).not.toThrow();
    expect(ofTasks({ premum: 2 })).toThrow(/tasks.tier_priorities.premum: no tier 'premum'/);
    expect(() => load({ router: { queue: { max_wating: 1 } } })).toThrow(/max_wating/);
  });
});

describe('server.workers', () => {
  const load = (env: Record<string, string>) => loadConfig([], env, tmpdir());

  test('comes from the environment; 1 unless told', () => {
    expect(load({}).server.workers).toBe(1);
    expect(load({ MESH_WORKERS: '3' })).toMatchObject({ server: { workers: 3 }, bindHost: '127.0.0.1' });
  });

  test.each([
    [{ MESH_WORKERS: '0' }, /MESH_WORKERS/],
    [{ MESH_WORKERS: 'many' }, /MESH_WORKERS/],
    [{ MESH_WORKERS: '2', MESH_ROLES: 'auth,quota' }, /server\.workers: .*lacks 'router'/],
  ])('%j is refused', (env, message) => {
    expect(() => load(env)).toThrow(message);
  });
});

// What of deploy/ can be told without starting anything. test:deploy starts it.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chownSync, cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../services/config.ts';
import {
  networksOf,
  ROOT,
  readComposeFile,
  readVariables,
  referencesIn,
  type Service,
  volumeParts,
} from './compose-file.ts';
import { imageOf, readDockerfile } from './image.ts';

const SECRETS = { MESH_TOKEN: 'x'.repeat(64), REDIS_PASSWORD: 'y'.repeat(64), REDIS_ADMIN_PASSWORD: 'z'.repeat(64) };
const text = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');
/** The schema of the Compose specification, which the linter brings. */
const composeSchema = JSON.parse(
  readFileSync(join(ROOT, 'node_modules/dclint/schemas/compose.schema.json'), 'utf8'),
) as {
  $schema?: string;
};
const profiles = ['cpu', 'gpu'] as const;
const fileOf = (profile: string) =>
  readComposeFile({ ...SECRETS, MESH_CONFIG_FILE: `./deploy/docker/mesh.${profile}.yaml` });
const file = fileOf('cpu');
const services = Object.entries(file.services);
/** Made by deploy/start-all.sh. */
const MADE = /^\.\/deploy\/(secrets|\.env)/;

test('docker-compose.yml and the files beside it are what the Compose specification says', () => {
  // Formats are left to Compose itself, see compose-model.deploy.ts.
  const validate = new Ajv2019({ strict: false, validateFormats: false }).compile(withoutDialect(composeSchema));
  expect(validate(withoutExtensions(file)), JSON.stringify(validate.errors)).toBe(true);
  const broken = { ...file, services: { redis: { ...file.services.redis, helthcheck: {} } } };
  expect(validate(withoutExtensions(broken))).toBe(false);
});

test('every path that a file names exists', () => {
  for (const profile of profiles) {
    for (const [name, service] of Object.entries(fileOf(profile).services)) {
      const paths = (service.volumes ?? [])
        .map((volume) => volumeParts(volume).source)
        .filter((path) => /^[./]/.test(path));
      if (service.build) paths.push(join(service.build.context, service.build.dockerfile));
      for (const path of paths.filter((each) => !MADE.test(each))) {
        expect([name, path, existsSync(resolve(ROOT, path))]).toEqual([name, path, true]);
      }
    }
  }
  for (const dockerfile of ['mesh.Dockerfile', 'vllm.Dockerfile']) {
    const { entrypoint, mounts } = readDockerfile(join(ROOT, 'deploy/docker', dockerfile));
    for (const line of mounts) expect([line, existsSync(line.split(' ')[1] ?? '')]).toEqual([line, true]);
    // What is started is what was copied.
    for (const path of entrypoint.filter((word) => word.startsWith('/app/'))) {
      expect([path, mounts.some((line) => path.startsWith(`${line.split(' ')[2]}/`))]).toEqual([path, true]);
    }
  }
});

test('every volume, network and secret that a service names is there, and none is left over', () => {
  const used = { volumes: new Set<string>(), networks: new Set<string>(), secrets: new Set<string>() };
  for (const [, service] of services) {
    for (const volume of service.volumes ?? []) {
      const { source } = volumeParts(volume);
      if (/^[a-z]/.test(source)) used.volumes.add(source);
    }
    for (const network of Object.keys(networksOf(service))) used.networks.add(network);
    for (const secret of service.secrets ?? []) used.secrets.add(secret);
  }
  for (const kind of ['volumes', 'networks', 'secrets'] as const) {
    expect([...used[kind]].sort()).toEqual(Object.keys(file[kind]).sort());
  }
});

test('every variable stands in .env.example, with the same default, and none is left over', () => {
  const example = readFileSync(join(ROOT, 'deploy/.env.example'), 'utf8');
  const shown = readVariables(join(ROOT, 'deploy/.env.example'));
  const optional = readVariablesOf(example.replace(/^#(?=[A-Z_]+=)/gm, ''));
  const scripts = ['start-all.sh', 'stop-all.sh'].map((name) => readFileSync(join(ROOT, 'deploy', name), 'utf8'));
  const both = text + readFileSync(join(ROOT, 'deploy/docker/two-gpus.yml'), 'utf8');
  for (const { name, fallback, isRequired } of referencesIn(both)) {
    expect([name, name in optional]).toEqual([name, true]);
    if (isRequired) expect([name, shown[name]]).toEqual([name, '']);
    else if (name !== 'MESH_CONFIG_FILE' && fallback !== '') expect([name, optional[name]]).toEqual([name, fallback]);
  }
  for (const name of Object.keys(optional)) {
    const isUsed = both.includes(`\${${name}`) || scripts.some((script) => script.includes(name));
    expect([name, isUsed]).toEqual([name, true]);
  }
});

test('nothing runs as root, gains a capability, or writes beside its volumes', () => {
  for (const [name, { user, read_only, cap_drop, security_opt }] of services) {
    expect([name, { user, read_only, cap_drop, security_opt }]).toEqual([
      name,
      {
        user: expect.stringMatching(/^[1-9]\d*:\d+$/),
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      },
    ]);
  }
});

test('everything tells its health but what has no program to ask it with', () => {
  const without = services.filter(([, { healthcheck }]) => !healthcheck).map(([name]) => name);
  // Its image holds one binary.
  expect(without).toEqual(['jaeger']);
});

test('only the front door is open to others, the rest of the published ports to this host', () => {
  const open = services.flatMap(([name, { ports = [] }]) =>
    ports.filter((port) => !port.startsWith('127.0.0.1:')).map((port) => `${name} ${port}`),
  );
  expect(open).toEqual(['nginx 443:8443', 'nginx 80:8080']);
  expect(file.services.gateway?.ports).toEqual(['127.0.0.1:9090:9090']);
  expect(file.services.prometheus?.ports).toEqual(['127.0.0.1:9091:9090']);
  expect(file.networks.mesh?.internal).toBe(true);
});

test.each(profiles)(
  'each process of profile %s takes the configuration and the environment that it is given',
  (profile) => {
    for (const [name, service] of meshServices(fileOf(profile).services, profile)) {
      const { environment = {} } = service;
      const config = loadConfig([], { ...environment, MESH_CONFIG: `deploy/docker/mesh.${profile}.yaml` }, ROOT);
      expect([name, config.server.trusted_proxies]).toEqual([name, [addressOf('nginx', 'edge')]]);
      // Others find it where the environment of all says.
      for (const [variable, url] of Object.entries(environment).filter(([key]) => key.startsWith('MESH_PEER_'))) {
        const role = variable.slice('MESH_PEER_'.length).toLowerCase();
        const { hostname, port } = new URL(url);
        const peer = fileOf(profile).services[hostname]?.environment;
        expect([variable, peer?.MESH_ROLES?.split(',').includes(role), port]).toEqual([
          variable,
          true,
          String(portOf(peer)),
        ]);
      }
      expect([name, service.healthcheck?.test.at(-1)]).toEqual([
        name,
        expect.stringMatching(new RegExp(`^(127.0.0.1|${service.hostname}):${config.port}$`)),
      ]);
    }
  },
);

test('every name that a process is asked for is known on a network that both are on', () => {
  const names = new Map(
    services.map(([name, service]) => [
      name,
      Object.entries(networksOf(service)).flatMap(([network, { aliases = [] }]) =>
        [name, ...aliases].map((alias) => `${alias} on ${network}`),
      ),
    ]),
  );
  const all = new Set([...names.values()].flat());
  for (const [name, service] of services) {
    for (const url of Object.values(service.environment ?? {}).filter((value) => /^(http|redis):\/\//.test(value))) {
      const { hostname } = new URL(url);
      const reachable = Object.keys(networksOf(service)).some((network) => all.has(`${hostname} on ${network}`));
      expect([name, url.replace(/:[^:@]*@/, '@'), reachable]).toEqual([name, url.replace(/:[^:@]*@/, '@'), true]);
    }
  }
});

test('Prometheus scrapes every role', () => {
  const { scrape_configs: jobs } = parse(readFileSync(join(ROOT, 'deploy/docker/prometheus.yml'), 'utf8')) as {
    scrape_configs: { static_configs: { targets: string[] }[] }[];
  };
  const targets = jobs.flatMap((job) => job.static_configs.flatMap((each) => each.targets)).sort();
  const roles = meshServices(file.services, 'cpu').map(([name, { hostname }]) => `${hostname ?? name}:9090`);
  expect(targets).toEqual(roles.sort());
});

test('nginx takes what the mesh is said to take', () => {
  const site = readFileSync(join(ROOT, 'deploy/nginx/site.conf'), 'utf8');
  for (const kind of ['proxy', 'grpc']) {
    expect(site).toContain(`${kind}_connect_timeout 75s;`);
    expect(site).toContain(`${kind}_read_timeout 300s;`);
  }
  const limits = readFileSync(join(ROOT, 'deploy/nginx/inference-mesh.conf'), 'utf8');
  expect(limits).toContain('rate=50r/s');
});

test('scripts are what their shell can read', () => {
  const scripts = readdirSync(join(ROOT, 'deploy')).filter((name) => name.endsWith('.sh'));
  expect(scripts.length).toBeGreaterThan(1);
  for (const name of scripts)
    expect(readFileSync(join(ROOT, 'deploy', name), 'utf8')).toMatch(/^#!\/bin\/sh\n[\s\S]*\nset -eu\n/);
});

test('what an image starts needs no package that it leaves out', () => {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { dependencies: object };
  const sources = ['services', 'gen', 'bin']
    .flatMap((name) => readdirSync(join(ROOT, name), { recursive: true }).map((path) => join(name, String(path))))
    .filter((path) => path.endsWith('.ts') && !/\.(test|fixture)\.ts$|test-facade|^bin\/(test|check)\.ts$/.test(path));
  expect(sources.length).toBeGreaterThan(300);
  for (const path of sources) {
    for (const [, name = ''] of readFileSync(join(ROOT, path), 'utf8').matchAll(
      /^(?:import|export) (?!type )[^;]*?from '([^.'][^']*)';/gm,
    )) {
      if (name.startsWith('node:')) continue;
      const packageName = name
        .split('/')
        .slice(0, name.startsWith('@') ? 2 : 1)
        .join('/');
      expect([path, packageName in dependencies, packageName]).toEqual([path, true, packageName]);
    }
  }
});

test('start-all.sh makes each secret once, for its owner, also without root', () => {
  const directory = mkdtempSync(join(tmpdir(), 'start-'));
  try {
    const copied = ['start-all.sh', '.env.example', 'redis/users.acl.example'];
    for (const name of copied) cpSync(join(ROOT, 'deploy', name), join(directory, 'deploy', name), { recursive: true });
    const isRoot = process.getuid?.() === 0;
    if (isRoot) for (const name of ['', 'deploy']) chownSync(join(directory, name), 65_534, 65_534);
    const start = () =>
      spawnSync('sh', ['deploy/start-all.sh', 'cpu'], {
        ...{ cwd: directory, encoding: 'utf8', env: { PATH: process.env.PATH, SECRETS_ONLY: '1' } },
        ...(isRoot && { uid: 65_534, gid: 65_534 }),
      });
    const read = (): string[] =>
      ['.env', 'secrets/pepper', 'secrets/grafana-password', 'secrets/redis-users.acl', 'secrets/tls/privkey.pem'].map(
        (name) => readFileSync(join(directory, 'deploy', name), 'utf8'),
      );
    expect(start()).toMatchObject({ status: 0, stderr: '' });
    const made = read();
    expect(start()).toMatchObject({ status: 0, stderr: '', stdout: '' });
    expect(read()).toEqual(made);
    const { MESH_TOKEN = '', REDIS_PASSWORD = '' } = readVariables(join(directory, 'deploy/.env'));
    expect([MESH_TOKEN.length, REDIS_PASSWORD.length]).toEqual([64, 64]);
    expect(made[3]).toContain(createHash('sha256').update(REDIS_PASSWORD).digest('hex'));
    expect(made[3]).not.toContain(REDIS_PASSWORD);
    // Containers read the files as users that are not known here; nobody else comes into the directory.
    expect(statSync(join(directory, 'deploy/secrets')).mode & 0o777).toBe(0o700);
    expect(statSync(join(directory, 'deploy/secrets/pepper')).mode & 0o777).toBe(0o444);
    expect(statSync(join(directory, 'deploy/.env')).mode & 0o777).toBe(0o600);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('systemd starts files that are there, and gives streams more time than the mesh does', () => {
  for (const unit of ['inference-mesh.service', 'inference-mesh@.service']) {
    const lines = readFileSync(join(ROOT, 'deploy/systemd', unit), 'utf8');
    const paths = [...lines.matchAll(/\/opt\/inference-mesh\/(\S+)/g)].map(([, path = '']) => path);
    expect(paths.length).toBeGreaterThan(3);
    for (const path of paths) expect([unit, path, existsSync(join(ROOT, path))]).toEqual([unit, path, true]);
    const stopSeconds = Number(/^TimeoutStopSec=(\d+)$/m.exec(lines)?.[1]);
    expect(stopSeconds).toBeGreaterThan(loadConfig([], {}, ROOT).server.drain_seconds);
  }
  expect(readFileSync(join(ROOT, 'deploy/systemd/inference-mesh.service'), 'utf8')).toContain('Alias=llm-api.service');
});

function meshServices(all: Readonly<Record<string, Service>>, profile: string): [string, Service][] {
  return Object.entries(all).filter(
    ([, service]) => service.build && (service.profiles === undefined || service.profiles.includes(profile)),
  );
}

function addressOf(name: string, network: string): string | undefined {
  const service = file.services[name];
  return service && networksOf(service)[network]?.ipv4_address;
}

const PORTS: Readonly<Record<string, number>> = { auth: 7001, quota: 7002, inference: 7004, tasks: 7005 };

function portOf(environment: Readonly<Record<string, string>> = {}): number {
  return Number(environment.MESH_PORT ?? PORTS[environment.MESH_ROLES ?? '']);
}

function readVariablesOf(lines: string): Record<string, string> {
  return Object.fromEntries(
    [...lines.matchAll(/^([A-Z_][A-Z0-9_]*)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]),
  );
}

/** Shared parts are no part of what is checked: they were merged. */
function withoutExtensions(compose: object): object {
  return Object.fromEntries(Object.entries(compose).filter(([key]) => !key.startsWith('x-')));
}

function withoutDialect({ $schema: _, ...schema }: { $schema?: string }): object {
  return schema;
}

test('images of the project start what the file starts', () => {
  for (const [name, service] of meshServices(file.services, 'cpu')) {
    expect([name, imageOf(service).entrypoint]).toEqual([name, ['sh', '/app/bin/node.sh', '/app/services/main.ts']]);
  }
});

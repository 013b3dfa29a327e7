import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { ROOT } from './compose-file.ts';
import { composeGo, hasGo } from './tools.ts';

const SECRETS = { MESH_TOKEN: 'x'.repeat(64), REDIS_PASSWORD: 'y'.repeat(64) };
if (!hasGo()) console.log('skipped: what Compose itself says of its files needs Go');

interface Project {
  readonly services: Readonly<
    Record<
      string,
      {
        readonly deploy?: { resources: { reservations: { devices: object[] } } };
        readonly secrets?: readonly { readonly source: string }[];
        readonly environment?: object;
      }
    >
  >;
}

function load(profile: string, files: readonly string[], variables: object = SECRETS) {
  const environment = { PATH: process.env.PATH, COMPOSE_PROFILES: profile, ...variables };
  const { status, stdout, stderr } = spawnSync(composeGo(), files, { cwd: ROOT, env: environment, encoding: 'utf8' });
  return { status, stderr, project: status === 0 ? (JSON.parse(stdout) as Project) : undefined };
}

test.skipIf(!hasGo())('Compose takes each profile, with and without a second GPU', () => {
  const names = (profile: string, files = ['docker-compose.yml']): string[] => {
    const { project, stderr } = load(profile, files);
    expect(stderr).toBe('');
    return Object.keys(project?.services ?? {});
  };
  expect(names('cpu')).toEqual(
    expect.arrayContaining(['redis', 'auth', 'quota', 'tasks', 'gateway', 'nginx', 'inference-cpu']),
  );
  expect(names('cpu')).not.toContain('inference-gpu');
  expect(names('gpu')).toContain('inference-gpu');
  expect(names('gpu')).not.toContain('inference-cpu');
  const { project } = load('gpu', ['docker-compose.yml', 'deploy/docker/two-gpus.yml']);
  expect(project?.services['inference-gpu']?.deploy?.resources.reservations.devices).toEqual([
    { driver: 'nvidia', device_ids: ['0', '1'], capabilities: ['gpu'] },
  ]);
  const rotating = load('cpu', ['docker-compose.yml', 'deploy/docker/older-pepper.yml']).project;
  expect(rotating?.services.auth?.secrets?.map(({ source }) => source)).toEqual(['pepper', 'older-pepper']);
  expect(rotating?.services.auth?.environment).toMatchObject({
    MESH_PEPPER_FILE: '/run/secrets/pepper',
    MESH_OLDER_PEPPER_FILES: '/run/secrets/older-pepper',
  });
});

test.skipIf(!hasGo())('Compose starts nothing without the secrets', () => {
  const { status, stderr } = load('cpu', ['docker-compose.yml'], {});
  expect(status).not.toBe(0);
  expect(stderr).toContain('MESH_TOKEN is missing a value: run deploy/start-all.sh');
});

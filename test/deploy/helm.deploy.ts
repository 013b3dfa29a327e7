import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { loadConfig } from '../../services/config.ts';
import { ROOT } from './compose-file.ts';
import { hasGo, helm, isThere, kubernetesValidate } from './tools.ts';

const CHART = join(ROOT, 'deploy/helm/inference-mesh');
const missing = ['python3'].find((name) => !isThere(name)) ?? (isThere('helm') || hasGo() ? undefined : 'helm, or Go');
if (missing) console.log(`skipped: the Helm chart needs ${missing}`);

/** Oldest and newest that the chart says it is for and whose schemas are at hand. */
const VERSIONS = ['1.29', '1.37'];

/** Values that together use everything. */
const VARIANTS: Readonly<Record<string, readonly string[]>> = {
  'as it is': [],
  'all that can be switched on': [
    ...['ingress.enabled=true', 'ingress.grpcHost=grpc.example.com', 'otlpEndpoint=http://jaeger:4318'],
    ...['gateway.autoscaling.enabled=true', 'inference.replicas=2', 'inference.runtimeClassName=nvidia'],
    ...['inference.storage.className=fast', 'server.trustedProxies={10.0.0.0/8}', 'imagePullSecrets[0].name=registry'],
    'auth.olderPepperKey=pepper-before',
  ],
  'mutual TLS': ['meshTls.existingSecret=mesh-certificates'],
  'without GPUs': ['inference.gpus=0', 'networkPolicy.enabled=false', 'server.requireHttps=false'],
};

// biome-ignore lint/suspicious/noExplicitAny: any kind of Kubernetes
type Manifest = any;

function render(sets: readonly string[], version = '1.37'): { status: number | null; text: string; stderr: string } {
  const words = sets.flatMap((set) => ['--set', set]);
  const args = ['template', 'mesh', CHART, '--kube-version', version, '--namespace', 'llm', ...words];
  const { status, stdout, stderr } = spawnSync(helm(), args, { encoding: 'utf8', timeout: 120_000 });
  return { status, text: stdout, stderr };
}

function manifests(sets: readonly string[] = []): Manifest[] {
  const { status, text, stderr } = render(sets);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest)
    .filter(Boolean);
}

const workloads = (sets: readonly string[] = []): Manifest[] =>
  manifests(sets).filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet');
const podOf = (name: string, sets: readonly string[] = []): Manifest =>
  workloads(sets).find(({ metadata }) => metadata.name === `mesh-${name}`)?.spec.template.spec;

describe.skipIf(missing)('the Helm chart', () => {
  test.each(Object.keys(VARIANTS))('%s: valid for the oldest and the newest Kubernetes', (variant) => {
    const directory = mkdtempSync(join(tmpdir(), 'helm-'));
    try {
      for (const version of VERSIONS) {
        const file = join(directory, 'rendered.yaml');
        writeFileSync(file, render(VARIANTS[variant] ?? [], version).text);
        const args = ['--strict', '--quiet', '-k', version, file];
        const { status, stdout, stderr } = spawnSync(kubernetesValidate(), args, {
          encoding: 'utf8',
          timeout: 120_000,
        });
        expect([version, status, stdout + stderr]).toEqual([version, 0, '']);
      }
      writeFileSync(join(directory, 'broken.yaml'), render([]).text.replace('readinessProbe', 'readynessProbe'));
      expect(spawnSync(kubernetesValidate(), ['--strict', '--quiet', join(directory, 'broken.yaml')]).status).not.toBe(
        0,
      );
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('a value that nothing reads is refused, and so are sections that the chart writes', () => {
    expect(render(['server.drainSecond=3']).stderr).toContain("additional properties 'drainSecond' not allowed");
    expect(render(['config.server.host=0.0.0.0']).status).not.toBe(0);
    expect(render(['inference.gpus=-1']).status).not.toBe(0);
  });

  test.each(Object.keys(VARIANTS))(
    '%s: every process takes the configuration and the environment that it is given',
    (variant) => {
      const sets = VARIANTS[variant] ?? [];
      const { data } = manifests(sets).find(({ kind }) => kind === 'ConfigMap');
      const directory = mkdtempSync(join(tmpdir(), 'helm-'));
      try {
        for (const { metadata, spec } of workloads(sets)) {
          const [container] = spec.template.spec.containers;
          const environment: Record<string, string> = {};
          for (const { name, value, valueFrom } of container.env) environment[name] = value ?? given(name, valueFrom);
          const { MESH_CONFIG: path = '', ...rest } = environment;
          const file = join(directory, path.split('/').at(-1) ?? '');
          writeFileSync(file, data[path.split('/').at(-1) ?? '']);
          const config = loadConfig([], { ...rest, MESH_CONFIG: file }, directory);
          expect([metadata.name, container.ports[0].containerPort]).toEqual([metadata.name, config.port]);
          // Longer than what a drain may take.
          const { terminationGracePeriodSeconds: graceSeconds } = spec.template.spec;
          expect(graceSeconds).toBeGreaterThan(
            config.server.drain_seconds + Number(container.lifecycle.preStop.exec.command[1]),
          );
          for (const url of [...config.peers.values(), ...config.routers]) {
            const service = new URL(url).hostname.split('.').at(-1);
            expect([
              url,
              manifests(sets).some((each) => each.kind === 'Service' && each.metadata.name === service),
            ]).toEqual([url, true]);
          }
        }
      } finally {
        rmSync(directory, { recursive: true });
      }
    },
  );

  test('no pod runs as root, gains a capability, or writes beside its volumes', () => {
    for (const { spec } of workloads()) {
      const pod = spec.template.spec;
      expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
      expect(pod.automountServiceAccountToken).toBe(false);
      expect(pod.containers[0].securityContext).toEqual({
        ...{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
      });
    }
  });

  test('roles are asked by gRPC, the gateway by /readyz; nobody is killed for what a model does', () => {
    for (const [role, port, service] of [
      ['auth', 7001, { service: 'mesh.auth.v1.AuthService' }],
      ['quota', 7002, { service: 'mesh.quota.v1.QuotaService' }],
      ['tasks', 7005, { service: 'mesh.tasks.v1.TasksService' }],
      ['inference', 7004, {}],
    ] as const) {
      const [container] = podOf(role).containers;
      expect([role, container.readinessProbe.grpc]).toEqual([role, { port, ...service }]);
      expect([role, container.livenessProbe.tcpSocket]).toEqual([role, { port }]);
    }
    expect(podOf('gateway').containers[0].readinessProbe.exec.command).toContain('/readyz');
    expect(podOf('gateway', ['server.requireHttps=false']).containers[0].readinessProbe.httpGet.path).toBe('/readyz');
    expect(podOf('auth', ['meshTls.existingSecret=x']).containers[0].readinessProbe.tcpSocket).toEqual({ port: 7001 });
  });

  test('engines have names and disks of their own, everything else is a Deployment; gateways may be scaled', () => {
    const kinds = Object.fromEntries(workloads().map(({ kind, metadata }) => [metadata.name, kind]));
    expect(kinds).toEqual({
      ...{ 'mesh-auth': 'Deployment', 'mesh-quota': 'Deployment', 'mesh-tasks': 'Deployment' },
      ...{ 'mesh-gateway': 'Deployment', 'mesh-inference': 'StatefulSet' },
    });
    const scaler = manifests(['gateway.autoscaling.enabled=true']).find(
      (each) => each.kind === 'HorizontalPodAutoscaler',
    );
    expect(scaler.spec.scaleTargetRef).toMatchObject({ kind: 'Deployment', name: 'mesh-gateway' });
    // Engines look for gateways before those are ready: what makes them ready is an engine.
    const pods = manifests().find((each) => each.kind === 'Service' && each.metadata.name === 'mesh-gateway-pods');
    expect(pods.spec).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true });
  });

  test('engines get their GPUs, their memory and a disk, and tell routers their own address', () => {
    const [container] = podOf('inference').containers;
    expect(container.resources.limits).toEqual({ memory: '64Gi', 'nvidia.com/gpu': 1 });
    expect(
      podOf('inference', ['inference.gpuResource=nvidia.com/mig-4g.71gb', 'inference.gpus=2']).containers[0].resources
        .limits,
    ).toEqual({
      memory: '64Gi',
      'nvidia.com/mig-4g.71gb': 2,
    });
    expect(podOf('inference', ['inference.gpus=0']).containers[0].resources.limits).toEqual({ memory: '64Gi' });
    expect(container.env.find(({ name }: Manifest) => name === 'MESH_HOST').valueFrom.fieldRef.fieldPath).toBe(
      'status.podIP',
    );
    const routers = container.env.find(({ name }: Manifest) => name === 'MESH_PEER_ROUTER').value;
    expect(routers).toBe('dns+http://mesh-gateway-pods:8000');
  });

  test('secrets come from a Secret that exists; only auth has the pepper, only keepers the store', () => {
    expect(manifests().some(({ kind }) => kind === 'Secret')).toBe(false);
    const has = (variable: string): string[] =>
      workloads()
        .filter(({ spec }) => spec.template.spec.containers[0].env.some(({ name }: Manifest) => name === variable))
        .map(({ metadata }) => metadata.name);
    expect(has('MESH_PEPPER_FILE')).toEqual(['mesh-auth']);
    expect(has('MESH_OLDER_PEPPER_FILES')).toEqual([]);
    const auth = podOf('auth', ['auth.olderPepperKey=pepper-before']);
    const { value } = auth.containers[0].env.find(({ name }: Manifest) => name === 'MESH_OLDER_PEPPER_FILES');
    expect(value).toBe('/run/secrets/inference-mesh/older-pepper');
    expect(auth.volumes.find(({ name }: Manifest) => name === 'pepper').secret.items).toContainEqual({
      ...{ key: 'pepper-before', path: 'older-pepper' },
    });
    expect(has('REDIS_URL').sort()).toEqual(['mesh-auth', 'mesh-quota', 'mesh-tasks']);
  });

  test('every role has a network policy and, where there are several, a disruption budget', () => {
    const of = (kind: string): string[] =>
      manifests()
        .filter((each) => each.kind === kind)
        .map(({ metadata }) => metadata.name)
        .sort();
    expect(of('NetworkPolicy')).toEqual(['mesh-auth', 'mesh-gateway', 'mesh-inference', 'mesh-quota', 'mesh-tasks']);
    expect(of('PodDisruptionBudget')).toEqual(['mesh-auth', 'mesh-gateway', 'mesh-quota', 'mesh-tasks']);
  });
});

/** What Kubernetes fills in. */
function given(name: string, { fieldRef }: { fieldRef?: object } = {}): string {
  if (fieldRef) return '10.42.0.7';
  return name === 'REDIS_URL' ? 'redis://redis:6379' : parse(`"${'x'.repeat(64)}"`);
}

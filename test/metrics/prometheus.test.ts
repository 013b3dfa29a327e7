import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { hasPrometheus } from './prometheus-server.ts';
import { PROMETHEUS_DIR } from './queries.ts';
import { describeUnderPrometheus } from './under-prometheus.ts';

if (hasPrometheus()) {
  describe('what ships for Prometheus', () => {
    const promtool = (...args: string[]) => spawnSync('promtool', args, { cwd: PROMETHEUS_DIR, encoding: 'utf8' });

    test('the configuration and the alert rules are valid', () => {
      expect(promtool('check', 'config', 'prometheus.yml')).toMatchObject({ status: 0 });
    });

    test('alerts fire when they should and not before', () => {
      const { status, stdout, stderr } = promtool('test', 'rules', 'alerts.test.yml');
      expect([status, stdout, stderr]).toEqual([0, expect.stringContaining('SUCCESS'), '']);
    });
  });
  describeUnderPrometheus('one process');
} else {
  test.skip('a mesh under Prometheus', () => undefined);
}

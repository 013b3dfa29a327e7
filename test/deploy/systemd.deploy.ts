import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ROOT } from './compose-file.ts';
import { isThere } from './tools.ts';

const missing = isThere('systemd-analyze') ? undefined : 'systemd-analyze';
if (missing) console.log(`skipped: the systemd units need ${missing}`);

/** Of 10: what is exposed for GPUs, generated code and sockets, and not more. */
const MOST_EXPOSED = 1.7;

describe.skipIf(missing)('the systemd units', () => {
  const directory = mkdtempSync(join(tmpdir(), 'units-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  function analyze(unit: string, ...args: string[]): { status: number | null; output: string } {
    const path = join(directory, unit);
    copyFileSync(join(ROOT, 'deploy/systemd', unit.replace(/@.*\./, '@.')), path);
    const { status, stdout, stderr } = spawnSync('systemd-analyze', [...args, path], { encoding: 'utf8' });
    return { status, output: stdout + stderr };
  }

  test.each(['inference-mesh.service', 'inference-mesh@auth.service'])('%s is understood whole', (unit) => {
    // Without man: whether manual pages are installed is no matter of ours.
    expect(analyze(unit, 'verify', '--man=no')).toEqual({ status: 0, output: '' });
  });

  test.each(['inference-mesh.service', 'inference-mesh@auth.service'])('%s is hardened', (unit) => {
    const { status, output } = analyze(
      unit,
      'security',
      '--offline=true',
      `--threshold=${MOST_EXPOSED * 10}`,
      '--no-pager',
    );
    expect(status, output).toBe(0);
  });

  test('what keeps V8 or a GPU from working is not asked for', () => {
    for (const unit of ['inference-mesh.service', 'inference-mesh@.service']) {
      const text = readFileSync(join(ROOT, 'deploy/systemd', unit), 'utf8');
      expect(text).not.toMatch(/^(MemoryDenyWriteExecute|PrivateDevices|PrivateUsers)=/m);
      expect(text).toMatch(/^DeviceAllow=char-nvidia rw$/m);
    }
  });
});

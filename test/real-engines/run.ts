// `npm run test:engines [vitest arguments]`: the scenarios against the engines that can run on this machine's CPU.
// `npm run test:gpu [vitest arguments]`: the same on a CUDA device, and whether its memory comes back.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isOnPath } from './install/step.ts';
import { makeModels } from './models.ts';
import { ROOT } from './places.ts';
import { enginesForCpu, enginesForCuda } from './present-engines.ts';

const [target, ...selection] = process.argv.slice(2);
if (target !== 'cpu' && target !== 'gpu') {
  console.error('run.ts: expected "cpu" or "gpu" first');
  process.exit(78);
}
if (target === 'gpu' && !isOnPath('nvidia-smi')) {
  console.log('test:gpu: skipped: there is no nvidia-smi, so no CUDA device');
  process.exit(0);
}
const engines = target === 'gpu' ? enginesForCuda() : enginesForCpu();
for (const { kind, version, program, absent } of engines) {
  console.log(
    absent === undefined ? `${kind}: ${version}${program ? `, ${program}` : ''}` : `${kind}: skipped: ${absent}`,
  );
}
if (engines.every(({ absent }) => absent !== undefined)) process.exit(0);

const directory = mkdtempSync(join(tmpdir(), 'mesh-real-'));
try {
  await makeModels(engines, directory);
  const plan = join(directory, 'plan.json');
  writeFileSync(plan, JSON.stringify({ directory, devices: target === 'gpu' ? [0] : [], engines }));
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  const args = [vitest, 'run', '--config', join(import.meta.dirname, 'vitest.config.ts'), ...selection];
  const env = { ...process.env, MESH_REAL_ENGINES: plan };
  process.exitCode = spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit', env }).status ?? 1;
} finally {
  rmSync(directory, { recursive: true });
}

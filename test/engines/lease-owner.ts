// Stands in for a mesh process in tests of leases: starts a process under a mark and without a guard, records its lease
// below the data directory `argv[2]`, prints the lease as JSON, and waits to be killed.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createLeases } from '../../services/inference/supervisor/leases.ts';
import { MARK_VARIABLE, startTimeOf } from '../../services/inference/supervisor/process-table.ts';

const mark = randomBytes(16).toString('hex');
const engine = spawn('sleep', ['600'], {
  detached: true,
  env: { PATH: process.env.PATH, [MARK_VARIABLE]: mark },
  stdio: 'ignore',
});
const processId = engine.pid ?? 0;
const startTime = startTimeOf(processId) ?? '';
const lease = { engine: 'chat', mark, processId, startTime, ports: [], devices: [0], memory: { 'GPU-1': 1_000 } };
createLeases(process.argv[2] ?? '').record(lease);
process.stdout.write(`${JSON.stringify(lease)}\n`);

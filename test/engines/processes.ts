// What tests ask of the operating system about processes.
import { readFileSync } from 'node:fs';

/** Whether a process runs. One that has ended but was not collected by its parent does not. */
export function isRunning(processId: number): boolean {
  try {
    process.kill(processId, 0);
  } catch {
    return false;
  }
  try {
    // After the name in parentheses, which may hold anything, comes the state; Z is ended.
    const stat = readFileSync(`/proc/${processId}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2)[0] !== 'Z';
  } catch {
    return process.platform !== 'linux';
  }
}

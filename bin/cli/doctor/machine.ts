import { existsSync } from 'node:fs';
import { access, constants, mkdir, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { ConfigError } from '../../../services/shared/lifecycle/config-source.ts';
import { requireNode } from '../../../services/shared/lifecycle/node-version.ts';
import { bytesWord } from '../output/words.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

/** With less the store cannot be relied on, and with less than the other no model of use can be fetched. Bytes. */
const LEAST_FREE = 256 * 1024 ** 2;
const LITTLE_FREE = 5 * 1024 ** 3;

/** The Node.js that runs this, which is the one that a mesh runs on. */
export function checkNode(nodeVersion: string, version: string): Finding {
  try {
    requireNode(nodeVersion);
    return ok('versions', `inference-mesh ${version}, Node.js ${nodeVersion}, ${process.platform} ${process.arch}`);
  } catch (error) {
    const fix = 'Start it as `npx inference-mesh`, which brings its own Node.js.';
    return problem('versions', (error as ConfigError).message, fix);
  }
}

/** Whether a mesh can keep its things in the data directory, and nobody else can read them. */
export async function checkDataDirectory(dataDir: string): Promise<Finding[]> {
  const existing = existingPart(dataDir);
  const isUsable = await access(existing, constants.W_OK | constants.X_OK).then(
    async () => (await stat(existing)).isDirectory(),
    () => false,
  );
  if (!isUsable) {
    return [
      problem(
        'data directory',
        `${dataDir} cannot be written`,
        'Name another with --data-dir, or give this user the right to write there.',
      ),
    ];
  }
  const findings = [await checkPrivacy(dataDir, existing), await checkDisk(existing)];
  return findings.filter((finding) => finding !== undefined);
}

async function checkPrivacy(dataDir: string, existing: string): Promise<Finding> {
  if (existing !== dataDir) return ok('data directory', `${dataDir} will be made at the first start`);
  const key = join(dataDir, 'admin.key');
  const open = [dataDir, ...(existsSync(key) ? [key] : [])];
  for (const path of open) {
    const { mode } = await stat(path);
    if ((mode & 0o077) === 0) continue;
    return warning(
      'data directory',
      `others can read ${path}, and keys lie there`,
      `chmod ${path === dataDir ? 700 : 600} ${path}`,
    );
  }
  return ok('data directory', dataDir);
}

async function checkDisk(path: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(path);
  const free = bavail * bsize;
  const what = `${bytesWord(free)} free at ${path}`;
  const fix = 'Make room, or name a data directory on another disk with --data-dir.';
  if (free < LEAST_FREE) return problem('disk', what, fix);
  return free < LITTLE_FREE
    ? warning('disk', `${what}: enough for the store, not for models of a hub`, fix)
    : ok('disk', what);
}

/** Whether meshes of this host can tell each other which devices they use. */
export async function checkClaims(directory: string): Promise<Finding> {
  try {
    await mkdir(directory, { recursive: true });
    await access(directory, constants.W_OK);
    return ok('device claims', directory);
  } catch (error) {
    const fix =
      'Make it writable for all (chmod 1777), or name another with MESH_DEVICE_CLAIMS_DIR, the same for all meshes of this host.';
    return problem('device claims', `${directory} cannot be written (${(error as NodeJS.ErrnoException).code})`, fix);
  }
}

function existingPart(path: string): string {
  let part = resolve(path);
  while (!existsSync(part) && part !== dirname(part)) part = dirname(part);
  return part;
}

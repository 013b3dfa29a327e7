import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Canary, type Sighting, sightings } from './canaries.ts';
import { filesBelow, type Remains } from './remains.ts';

/** Files of a mesh that are a secret as a whole; of the key of the administrator its public part may be seen. */
const SECRET_FILES = new Set(['admin.key', 'pepper', 'mesh.token']);

/** Variables that hold secrets: of a list each one, of an address its password. */
const SECRET_VARIABLES = ['MESH_TOKEN', 'API_KEYS', 'REDIS_URL', 'HF_TOKEN', 'ENGINE_KEY'];

/** Shorter ones are words that tests have for keys. */
const LEAST_LENGTH = 16;

/** What is a secret wherever it comes from: keys of ours, tokens of users, hashes of passwords, private keys. */
const SHAPES: Readonly<Record<string, RegExp>> = {
  'an API key': /\bim_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}\b/,
  'a token of a user': /\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}/,
  'a header with a credential': /\bbearer [\w.~+/-]{16,}/i,
  'the hash of a password': /\$argon2id?\$v=|\$2[aby]\$\d\d\$/,
  'a private key': /-----BEGIN [A-Z ]*PRIVATE KEY-----/,
};

const seen: Sighting[] = [];

/**
 * Looks for secrets in what a program of the mesh has written: its output, and the log files of the directory that it ran in, with
 * those of its engines. What is found is kept for takeSightings.
 */
export function lookForSecrets(
  output: string,
  env: Readonly<Record<string, string>>,
  directory: string | undefined,
): void {
  const secrets = [...secretsOf(env), ...(directory === undefined ? [] : secretsBelow(directory))];
  const written: Remains[] = [{ place: 'output', bytes: Buffer.from(output) }];
  for (const logs of directory === undefined ? [] : logDirectories(directory)) written.push(...filesBelow(logs, []));
  for (const { place, bytes } of written) {
    seen.push(...sightings(place, bytes, secrets));
    const text = bytes.toString('latin1');
    for (const [kind, shape] of Object.entries(SHAPES)) {
      const at = text.search(shape);
      if (at >= 0) seen.push({ kind, form: 'raw', place, around: text.slice(Math.max(0, at - 80), at + 60) });
    }
  }
}

/** What was found since the last time. */
export function takeSightings(): Sighting[] {
  return seen.splice(0);
}

function secretsOf(env: Readonly<Record<string, string>>): Canary[] {
  return SECRET_VARIABLES.flatMap((name) => {
    const value = env[name] ?? '';
    const texts = value.includes('://') ? [URL.parse(value)?.password ?? ''] : value.split(',');
    return texts.filter((text) => text.length >= LEAST_LENGTH).map((text) => ({ kind: name, text }));
  });
}

function secretsBelow(directory: string): Canary[] {
  return entriesBelow(directory).flatMap(({ name, path }) => {
    if (!SECRET_FILES.has(name)) return [];
    const text = readFileSync(path, 'utf8').trim();
    const secret = name === 'admin.key' ? (text.split('_')[2] ?? text) : text;
    return secret.length < LEAST_LENGTH ? [] : [{ kind: name, text: secret }];
  });
}

function logDirectories(directory: string): string[] {
  const found = entriesBelow(directory).filter(({ name, isDirectory }) => isDirectory && name === 'logs');
  return found.map(({ path }) => path);
}

/** What lies in a directory and in those in it, where meshes have their data. */
function entriesBelow(directory: string): { name: string; path: string; isDirectory: boolean }[] {
  if (!existsSync(directory)) return [];
  const list = (where: string) =>
    readdirSync(where, { withFileTypes: true }).map((entry) => ({
      ...{ name: entry.name, path: join(where, entry.name), isDirectory: entry.isDirectory() },
    }));
  const top = list(directory);
  return [...top, ...top.filter(({ isDirectory }) => isDirectory).flatMap(({ path }) => list(path))];
}

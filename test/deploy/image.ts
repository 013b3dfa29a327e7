// What an image brings, as far as its Dockerfile here tells: the files of the project, the entry point, variables.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ROOT, type Service } from './compose-file.ts';

/** The part of an image that a process sees. */
export interface Image {
  readonly entrypoint: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  /** Lines for container.sh: the project's files, where they are copied to. */
  readonly mounts: readonly string[];
}

/** Entry points of other images, which the machine's own programs stand for; Redis has its program in the command. */
const FOREIGN: readonly (readonly [RegExp, string])[] = [
  [/^prom\/prometheus:/, 'prometheus'],
  [/^jaegertracing\//, 'jaeger'],
];

/** The image of a service: of its Dockerfile's last stage, or nothing but the machine's programs. */
export function imageOf({ build, image }: Service): Image {
  if (!build) {
    const entrypoint = FOREIGN.filter(([pattern]) => pattern.test(image)).map(([, program]) => program);
    return { entrypoint, environment: {}, workingDirectory: '/', mounts: [] };
  }
  return readDockerfile(resolve(ROOT, build.context, build.dockerfile));
}

/** Reads the last stage of a Dockerfile. */
export function readDockerfile(path: string): Image {
  const lines = readFileSync(path, 'utf8').replaceAll('\\\n', ' ').split('\n');
  const lastStage = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM ')));
  const environment: Record<string, string> = {};
  const mounts: string[] = [];
  let entrypoint: string[] = [];
  let workingDirectory = '/';
  for (const line of lastStage) {
    const [instruction = '', ...words] = line.split(/\s+/);
    if (instruction === 'WORKDIR') workingDirectory = words[0] ?? '/';
    if (instruction === 'ENV')
      for (const pair of words) environment[pair.split('=')[0] ?? ''] = pair.split('=')[1] ?? '';
    if (instruction === 'ENTRYPOINT') entrypoint = JSON.parse(words.join(' ')) as string[];
    if (instruction === 'COPY') mounts.push(...copies(words, workingDirectory));
  }
  return { entrypoint, environment, workingDirectory, mounts };
}

/** Sources of an earlier stage lie in the root too, where the same command makes them. */
function copies(words: readonly string[], workingDirectory: string): string[] {
  const paths = words.filter((word) => !word.startsWith('--'));
  const target = resolve(workingDirectory, paths.at(-1) ?? '');
  return paths.slice(0, -1).map((source) => {
    const own = source.startsWith('/app/') ? source.slice('/app/'.length) : source;
    const isInto = paths.length > 2 || paths.at(-1) === './';
    return `ro ${join(ROOT, own)} ${isInto ? join(target, own) : target}`;
  });
}

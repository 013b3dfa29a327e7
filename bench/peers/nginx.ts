import { plainProxy } from './plain-proxy.ts';

/** A plain reverse proxy with a static bearer check: the baseline of all ratios. */
export const nginx = plainProxy('nginx', 'nginx.conf', (config) => ['-p', '.', '-c', config, '-e', 'stderr']);

import { plainProxy } from './plain-proxy.ts';

/** The same as nginx by the other usual proxy. */
export const haproxy = plainProxy('haproxy', 'haproxy.cfg', (config) => ['-db', '-f', config]);

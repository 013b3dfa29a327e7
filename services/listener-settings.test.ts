import { pino } from 'pino';
import { expect, test } from 'vitest';
import { listenerSettings } from './listener-settings.ts';
import { serverConfigSchema } from './server-config.ts';

test.each([
  ['the public port', '10.0.0.7', true, ['chat.example.com']],
  ['a port of peers that only this machine reaches', '127.0.0.1', false, ['chat.example.com']],
  ['a port of peers, who call it by names of their own', '10.0.0.7', false, undefined],
])('allowed_hosts and %s', (_name, host, isPublic, expected) => {
  const server = serverConfigSchema.parse({ host, allowed_hosts: ['chat.example.com'] });
  const { allowedHosts } = listenerSettings(server, isPublic, pino({ level: 'silent' }));
  expect(allowedHosts).toEqual(expected);
});

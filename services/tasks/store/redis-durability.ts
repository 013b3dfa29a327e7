import type { Logger } from 'pino';
import type { RedisStore } from '../../shared/store/redis.ts';

/**
 * Says in one line of the log when the server keeps what it accepts in memory only, so that its restart loses accepted tasks. Never
 * rejects: a server that does not tell, or is away, is not blamed.
 */
export async function warnOfForgetting({ redis }: RedisStore, log: Logger): Promise<void> {
  const persistence = await redis.info('persistence').catch(() => '');
  if (!/^aof_enabled:0\b/m.test(persistence)) return;
  log.warn(
    'Redis forgets tasks that it accepted when it is restarted (appendonly no). Set "appendonly yes", and "appendfsync always" ' +
      'where a power cut must not lose the last second either.',
  );
}

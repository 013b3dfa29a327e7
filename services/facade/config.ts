import { z } from 'zod';
import { plainChatMaxTokens, plainChatTemperature } from './compat/plain-chat-request.ts';
import { queueMaxTokens, queueTemperature } from './tasks/queue-request.ts';

/** The section `facade` of the configuration. */
export const facadeConfigSchema = z.strictObject({
  /** The largest request body, in bytes. */
  max_body_bytes: z
    .int()
    .min(1024)
    .max(512 * 1024 * 1024)
    .default(10 * 1024 * 1024),
  /**
   * How long a request body may take to arrive, in seconds; then 408. The listener cuts any request at 30 s with a bare
   * 408, so a shorter time here is what gives the error a body.
   */
  body_timeout_seconds: z.number().positive().max(30).default(25),
  /**
   * Silence on an event stream after which a comment is sent, in seconds; also the longest wait before the head of a
   * streaming answer leaves.
   */
  keep_alive_seconds: z.number().positive().max(3600).default(15),
  /** What `POST /chat` generates with where a body does not say. */
  chat: z
    .strictObject({
      max_tokens: plainChatMaxTokens.default(1000),
      temperature: plainChatTemperature.default(0.7),
    })
    .prefault({}),
  /** The most tokens of a queued `POST /generate` whose body does not say; environment: MAX_NEW_TOKENS. */
  queue_max_tokens: queueMaxTokens.default(512),
  /** The temperature of a queued `POST /generate` whose body does not say; environment: TEMPERATURE. */
  queue_temperature: queueTemperature.default(0.7),
});

/** See facadeConfigSchema. */
export type FacadeConfig = z.output<typeof facadeConfigSchema>;

import { setTimeout as delay } from 'node:timers/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Client } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { RegisterRequestSchema, RegistryService } from '../../gen/mesh/router/v1/registry_service_pb.ts';
import { fromConnectError } from '../shared/errors/connect-error.ts';

/** A report without a change, in milliseconds: three times per lease, so that one that is late takes no node out. */
const REPORT_EVERY_MS = 600;

const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 2_000;

/** The node's whole report. */
export type NodeReport = MessageInitShape<typeof RegisterRequestSchema>;

/** What keeps a node known to a router. */
export interface Registration {
  /** Something in the report has changed: sent once per turn of the event loop. */
  changed(): void;
  /** The router is not found any more: told on until it listens no longer, or for so long. */
  leave(afterMs: number): void;
  /** It is found again. */
  stay(): void;
  /** Resolves when it is left. */
  readonly left: Promise<void>;
  /** Says good-bye by ending the stream. */
  close(): Promise<void>;
}

/** What a registration works with. */
export interface RegistrationParts {
  readonly registry: Client<typeof RegistryService>;
  readonly report: () => NodeReport;
  /** An operator has asked the router to take the node out of rotation, or back in. */
  readonly onDrain: (drained: boolean) => void;
  readonly log: Logger;
}

/** Reports to one router for as long as this process lives, whatever happens to the stream or to the router. */
export function register({ registry, report, onDrain, log }: RegistrationParts): Registration {
  const closing = new AbortController();
  let wake: () => void = () => {};
  let scheduled = false;
  /** Whether the router listens. */
  let isTold = false;
  let leaving: NodeJS.Timeout | undefined;
  const { promise: left, resolve: onLeft } = Promise.withResolvers<void>();
  const done = keepReporting();

  async function keepReporting(): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    while (!closing.signal.aborted) {
      const attempt = new AbortController();
      const signal = AbortSignal.any([closing.signal, attempt.signal]);
      try {
        for await (const { drain } of registry.register(reports(signal), { signal })) {
          retryMs = FIRST_RETRY_MS;
          isTold = true;
          if (drain !== undefined) onDrain(drain);
        }
      } catch (error) {
        if (closing.signal.aborted) return;
        const { reason, message } = fromConnectError(error);
        if (reason === 'CONFLICT') {
          log.error({ reason, message }, 'another process has taken the name of this node; it is no longer announced');
          return;
        }
        log.warn({ reason, message, retryMs }, 'the router cannot be told about this node');
      } finally {
        isTold = false;
        attempt.abort();
      }
      if (leaving) return end();
      // Rejects only because of closing, which ends the loop.
      await delay(retryMs, undefined, { signal: closing.signal }).catch(() => {});
      retryMs = Math.min(MAX_RETRY_MS, retryMs * 2);
    }
  }

  function end(): void {
    clearTimeout(leaving);
    closing.abort();
    onLeft();
  }

  async function* reports(signal: AbortSignal): AsyncGenerator<NodeReport> {
    while (!signal.aborted) {
      yield report();
      await nextReport(signal);
    }
  }

  function nextReport(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', go);
        resolve();
      };
      const timer = setTimeout(go, REPORT_EVERY_MS);
      signal.addEventListener('abort', go);
      wake = go;
    });
  }

  return {
    changed() {
      if (scheduled) return;
      scheduled = true;
      setImmediate(() => {
        scheduled = false;
        wake();
      });
    },
    leave(afterMs) {
      if (isTold) leaving ??= setTimeout(end, afterMs);
      else end();
    },
    stay() {
      clearTimeout(leaving);
      leaving = undefined;
    },
    left,
    async close() {
      clearTimeout(leaving);
      closing.abort();
      await done;
    },
  };
}

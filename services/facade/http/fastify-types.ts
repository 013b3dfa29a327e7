import 'fastify';
import type { Span } from '../../shared/observability/tracer.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call: anyone; callers with a credential; or anyone whose credential, if there is one, is valid. */
    access?: 'open' | 'caller' | 'known-or-anonymous';
    /** Whether the route starts work, which a draining process refuses. */
    startsWork?: boolean;
    /** Whether the key may be in the URL. */
    keyInUrl?: boolean;
    /** The path as it is documented, e.g. "/status/{task_id}". */
    template?: string;
  }
  interface FastifyRequest {
    /** The caller's API key or token; empty on open routes and for anonymous callers. */
    credential: string;
    /** When it came, on the monotonic clock in milliseconds. */
    enteredAtMs: number;
    /** What is recorded of it; its headers make what others do for it parts of the same trace. Null: it cannot be read. */
    span: Span | null;
  }
}

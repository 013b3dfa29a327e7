import 'fastify';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call: anyone, or callers with a credential. */
    access?: 'open' | 'caller';
    /** Whether the route starts work, which a draining process refuses. */
    startsWork?: boolean;
  }
  interface FastifyRequest {
    /** The caller's API key or token; empty on open routes. */
    credential: string;
  }
}

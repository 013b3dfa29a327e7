import type { FastifyContextConfig, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';

/** The groups of endpoints in the documentation, in its order. */
export type Tag =
  | 'OpenAI'
  | 'Other APIs'
  | 'Tasks'
  | 'Models at run time'
  | 'Keys and logins'
  | 'Status'
  | 'Documentation';

/** What a body is sent as, by example. */
export interface JsonBody {
  /** Its name in the documentation, e.g. "ChatRequest"; one name, one schema. */
  readonly name: string;
  /** The schema that the handler checks it against. */
  readonly schema: z.ZodType;
  /** False where no body at all means `{}`. Unset: it is required. */
  readonly required?: false;
  /** Bodies that the schema accepts, by a word that tells them apart; the first is what `/docs` offers to send. */
  readonly examples: Readonly<Record<string, object>>;
}

/** One form of an answer with one status. */
export interface Answer {
  /** When it comes, in half a sentence. */
  readonly description: string;
  /** A JSON answer. `type` where it is not "application/json". */
  readonly json?: {
    readonly name: string;
    readonly schema: z.ZodType;
    readonly example: unknown;
    readonly type?: string;
  };
  /** An event stream beside or instead of it: the `data` of its events. `example` is the text of a short stream. */
  readonly events?: { readonly name: string; readonly schema: z.ZodType; readonly example: string };
  /** Types of any other content, e.g. "text/html". */
  readonly types?: readonly string[];
}

/** What is known of a route besides its handler: what registers it, and what the documentation tells of it. */
export interface EndpointDescription {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** E.g. "/status/{task_id}"; "{+id}", last in a path, may contain slashes. */
  readonly path: string;
  readonly access: NonNullable<FastifyContextConfig['access']>;
  /** Whether it starts work, which a draining process refuses. */
  readonly startsWork?: true;
  /** Whether the key may be in the URL, as `?api_key=`: for readers that cannot set headers. */
  readonly keyInUrl?: true;
  readonly tag: Tag;
  /** A few words without a full stop. */
  readonly summary: string;
  /** Sentences, in Markdown. */
  readonly description: string;
  /** The scope that the caller's key needs, e.g. "models:manage". */
  readonly scope?: string;
  /** Members of the path, of the query, and headers that only this endpoint reads; a field is described by `.describe()`. */
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly headers?: z.ZodObject;
  readonly body?: JsonBody;
  /** What it answers besides errors, by status. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** Statuses of errors besides those that follow from access, body and startsWork, e.g. `{ 404: 'no such model' }`. */
  readonly errors?: Readonly<Record<number, string>>;
}

/** Answers one request, now or later. */
export type EndpointHandler = (request: FastifyRequest, reply: FastifyReply) => unknown;

/** A route, declared once. `Context` is what its handler is made from. */
export interface Endpoint<Context> extends EndpointDescription {
  readonly handler: (context: Context) => EndpointHandler;
}

/** Adds an endpoint to the application. Its declaration costs nothing per request. */
export function registerEndpoint<Context>(app: FastifyInstance, endpoint: Endpoint<Context>, context: Context): void {
  const { method, access, startsWork = false, keyInUrl = false } = endpoint;
  const url = endpoint.path.replace(/\{\+\w+\}$/, '*').replace(/\{(\w+)\}/g, ':$1');
  const template = endpoint.path.replace('{+', '{');
  app.route({ method, url, config: { access, startsWork, keyInUrl, template }, handler: endpoint.handler(context) });
}

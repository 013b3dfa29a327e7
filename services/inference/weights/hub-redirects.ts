import { type Dispatcher, errors, interceptors } from 'undici';

/** The hub sends to a content network, which may send on. */
const MAX_REDIRECTIONS = 5;

/** What undici calls a redirect to where it has been, to another scheme, and to what is no address. */
const UNFOLLOWABLE_CODES: ReadonlySet<unknown> = new Set(['UND_ERR_INVALID_ARG', 'ERR_INVALID_URL']);

/** Follows redirects; from an `endpoint` with https only to https. What cannot be followed fails as `isUnfollowable`. */
export function followingRedirects(dispatcher: Dispatcher, endpoint: string): Dispatcher {
  const isSecure = new URL(endpoint).protocol === 'https:';
  const refuseInsecure: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) => {
    if (!isSecure || new URL(String(options.origin)).protocol === 'https:') return dispatch(options, handler);
    throw new errors.InvalidArgumentError('it leads from https to http');
  };
  return dispatcher.compose(refuseInsecure, interceptors.redirect({ maxRedirections: MAX_REDIRECTIONS }));
}

/** Whether a request failed because of where it was redirected to: asking again would lead there again. */
export function isUnfollowable(error: unknown): boolean {
  return UNFOLLOWABLE_CODES.has((error as { code?: unknown }).code);
}

/** Whether an answer is one more redirect than is followed, or one to nowhere. */
export function isRedirect(status: number): boolean {
  return status >= 300 && status < 400;
}

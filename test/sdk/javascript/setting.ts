import OpenAI, { type ClientOptions } from 'openai';
import type { SdkMesh } from '../sdk-mesh.ts';

/** What the cases work with; to be called when the mesh runs. */
export type Setting = () => SdkMesh;

/** The SDK with a key without limits, set up as its users do; `fetch` is called once per attempt. */
export function clientOf({ baseUrl, keys }: SdkMesh, options: ClientOptions = {}): OpenAI {
  return new OpenAI({ baseURL: baseUrl, apiKey: keys.admin, maxRetries: 0, ...options });
}

/** A conversation of one message, which says what the server behind the mesh does. */
export function say(content: string): [{ role: 'user'; content: string }] {
  return [{ role: 'user', content }];
}

/** The body that the server behind the mesh was sent: what `echo` answers. */
export function echoed(content: string | null | undefined): Record<string, unknown> {
  return JSON.parse(content ?? '') as Record<string, unknown>;
}

/** A `fetch` that counts the attempts of the SDK. */
export function countingFetch(): { fetch: typeof fetch; attempts: () => number } {
  let attempts = 0;
  const counting: typeof fetch = (url, init) => {
    attempts += 1;
    return fetch(url, init);
  };
  return { fetch: counting, attempts: () => attempts };
}

import { invalidField, MeshError } from '../../shared/errors/mesh-error.ts';
import { TemporaryError } from '../../shared/lifecycle/temporary-error.ts';
import { HubRefusal } from '../weights/hub-errors.ts';

/** What a load worked with. */
export interface LoadFacts {
  readonly modelsDirectory: string;
  /** Of the hub. Unset: it was not asked. */
  readonly endpoint: string | undefined;
  /** Whether the caller sent a token. */
  readonly hasToken: boolean;
}

/** Why the files of a model could not be had, in words for a caller: they hold no path and no address of ours. */
export function asLoadError(error: unknown, { modelsDirectory, endpoint, hasToken }: LoadFacts): MeshError {
  let problem = error instanceof Error ? error.message.replace(/^model hf:\S+: /, '') : String(error);
  problem = problem.replaceAll(modelsDirectory, 'the model directory');
  if (endpoint !== undefined)
    problem = problem.replaceAll(endpoint, 'the hub').replaceAll(new URL(endpoint).host, 'the hub');
  if (error instanceof HubRefusal) return invalidField(error.refusesToken && hasToken ? 'hf_token' : 'model', problem);
  const message = `The files of the model could not be had: ${problem}`;
  const mayPass = error instanceof TemporaryError;
  return new MeshError('NO_HEALTHY_ENGINE', message, { cause: error, ...(mayPass && { retryAfterMs: 1_000 }) });
}

import type { Logger } from 'pino';
import { invalidField, MeshError } from '../../shared/errors/mesh-error.ts';
import { TemporaryError } from '../../shared/lifecycle/temporary-error.ts';
import type { ModelEntry } from '../engines/model-entry.ts';
import { parseAddress } from '../weights/address.ts';
import { HubRefusal } from '../weights/hub-errors.ts';
import { type HubSettings, readHubSettings } from '../weights/hub-settings.ts';
import { withLocalModel } from '../weights/local-models.ts';
import { modelsDirectoryOf } from '../weights/model-directory.ts';
import { NO_TERMINAL, type ProgressListener } from '../weights/progress.ts';

/** An entry whose files are wanted. */
export interface AskedEntry {
  readonly entry: ModelEntry;
  /** The caller's. Empty: none. */
  readonly hfToken: string;
  /** Whether the configuration names the model, not the caller. */
  readonly isConfigured: boolean;
}

/** What making its files local works with. */
export interface FilesSurroundings {
  readonly dataDir: string;
  readonly environmentVariable: (name: string) => string | undefined;
  readonly log: Logger;
  readonly now: () => number;
  readonly firstRetryMs?: number;
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener;
}

/**
 * The entry with the path of a file in place of a reference to a hub or an address.
 *
 * @throws MeshError INVALID_FIELD, NO_HEALTHY_ENGINE, in words that hold no path and no address of ours; the signal's reason.
 */
export async function entryWithFiles(asked: AskedEntry, surroundings: FilesSurroundings): Promise<ModelEntry> {
  const { entry, hfToken } = asked;
  const hidden: [text: string, words: string][] = [[modelsDirectoryOf(surroundings.dataDir), 'the model directory']];
  const hide = (address: string, words: string): void => {
    hidden.push([address, words], [new URL(address).host, words]);
  };
  const named = entry.engine === 'llama.cpp' ? parseAddress(entry.model) : undefined;
  if (named) hide(named.url.origin, 'its server');
  const hub = (): HubSettings => {
    const settings = readHubSettings(surroundings.environmentVariable);
    hide(settings.endpoint, 'the hub');
    if (hfToken !== '') return { ...settings, token: hfToken, tokenName: 'hf_token' };
    return settings.token === undefined ? { ...settings, tokenName: 'hf_token or HF_TOKEN' } : settings;
  };
  try {
    return await withLocalModel(entry, { ...surroundings, hub, originOf: () => 'model', terminal: NO_TERMINAL });
  } catch (error) {
    surroundings.signal.throwIfAborted();
    surroundings.log.warn({ engine: entry.name, err: error }, 'the files of a model could not be had');
    let problem = error instanceof Error ? error.message.replace(/^model \S+: /, '') : String(error);
    for (const [text, words] of hidden) problem = problem.replaceAll(text, words);
    throw asLoadError(error, problem, asked);
  }
}

function asLoadError(error: unknown, problem: string, { hfToken, isConfigured }: AskedEntry): MeshError {
  if (error instanceof HubRefusal) {
    if (error.refusesToken && hfToken !== '') return invalidField('hf_token', problem);
    if (!isConfigured) return invalidField('model', problem);
  }
  const message = `The files of the model could not be had: ${problem}`;
  const mayPass = error instanceof TemporaryError;
  return new MeshError('NO_HEALTHY_ENGINE', message, { cause: error, ...(mayPass && { retryAfterMs: 1_000 }) });
}

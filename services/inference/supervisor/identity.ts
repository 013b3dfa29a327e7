import type { EngineAdapter, EngineProbe } from '../engines/engine.ts';

/** Another model than configured. */
export interface WrongModel {
  readonly expected: string;
  readonly found: string;
}

/**
 * Whether an engine that answered is another one: an address may have come to belong to somebody else's server. Undefined:
 * it is the right one, or one of the two is not known. Pure.
 */
export function wrongModel(adapter: EngineAdapter, { modelId: found }: EngineProbe): WrongModel | undefined {
  const expected = adapter.servedModelId ?? adapter.modelId;
  if (expected === '' || found === undefined || found === expected) return undefined;
  return { expected, found };
}

import { toJsonString } from '@bufbuild/protobuf';
import { pino } from 'pino';
import { FinishReason } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { PromptSchema } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import type { GenerationFacts } from './generation-facts.ts';
import type { LogDestination } from './logger.ts';
import { printable } from './printable.ts';
import { withoutSecrets } from './redaction.ts';
import type { RequestFacts } from './request-facts.ts';
import { timeField } from './time-field.ts';

/** Reasons of the contract as lines have them, e.g. "tool_calls". */
const FINISH: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(FinishReason).map(([name, value]) => [value, name.toLowerCase()]),
);

/** How much of a body a line holds, in characters. */
const MOST_BODY_LENGTH = 65_536;

/** One line per request of a caller. */
export interface RequestLog {
  /** Whether lines hold what was asked and answered. */
  readonly tellsBodies: boolean;
  /**
   * Writes the line of a request that is over. Never throws.
   *
   * @param status the HTTP status of its answer
   */
  write(facts: RequestFacts, status: number): void;
}

/** Makes the request log of a process. */
export function createRequestLog(destination: LogDestination, tellsBodies: boolean): RequestLog {
  const log = pino(
    {
      base: null,
      timestamp: timeField,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => destination.write(printable(line), 30) },
  );
  return {
    tellsBodies,
    write(facts, status) {
      log.info(lineOf(facts, status));
    },
  };
}

/** A request log that nobody reads. */
export const NO_REQUEST_LOG: RequestLog = { tellsBodies: false, write() {} };

function lineOf(facts: RequestFacts, answered: number): Record<string, unknown> {
  const { principal, generation, beganAtMs } = facts;
  const status = facts.status ?? answered;
  return {
    requestId: facts.requestId,
    traceId: facts.traceId,
    protocol: facts.protocol,
    method: facts.method,
    route: facts.route,
    status,
    outcome: facts.reason ?? (status < 400 ? 'ok' : 'refused'),
    durationMs: rounded(performance.now() - beganAtMs),
    clientIp: facts.clientIp,
    keyId: principal?.keyId || undefined,
    user: principal?.userId || undefined,
    organization: principal?.organizationId || undefined,
    tier: principal?.tier || undefined,
    endUser: facts.endUser && withoutSecrets(facts.endUser),
    ...(generation && {
      modelAsked: nameOf(generation),
      model: generation.modelId,
      engine: generation.engine,
      promptTokens: generation.promptTokens,
      completionTokens: generation.completionTokens,
      cachedTokens: generation.cachedTokens || undefined,
      reasoningTokens: generation.reasoningTokens || undefined,
      queueMs: generation.queuedMs,
      firstTokenMs: generation.firstTokenAtMs && rounded(generation.firstTokenAtMs - beganAtMs),
      takeovers: generation.takeovers || undefined,
      finish: generation.finishReason && FINISH[generation.finishReason],
      prompt: generation.prompt && bodyOf(toJsonString(PromptSchema, generation.prompt)),
      answers: generation.answers?.map(bodyOf),
    }),
  };
}

/** A name that was found is nobody's secret. */
function nameOf({ modelAsked, modelId }: GenerationFacts): string | undefined {
  if (modelAsked === '') return undefined;
  return modelId === undefined ? withoutSecrets(modelAsked) : modelAsked;
}

/** Microseconds are enough. */
function rounded(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

/** Cut first, so that nothing long is searched; a secret that the cut goes through is not whole. */
function bodyOf(text: string): string {
  return withoutSecrets(text.slice(0, MOST_BODY_LENGTH));
}

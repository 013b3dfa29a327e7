import type { Principal } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { FinishReason } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import type { GenerationCall } from '../../shared/transport/generate.ts';

/** What a call asks of a model, in the words of OpenTelemetry's `gen_ai.operation.name`; `tokenize` is our own. */
export type Operation = 'chat' | 'text_completion' | 'embeddings' | 'tokenize';

/**
 * What is known of one call of a model, from its admission to its end. Whoever runs it fills it by plain assignments, once each;
 * nothing in it costs anything per token. Times are milliseconds of the monotonic clock (`performance.now()`); a time, count or
 * name that is unset never came about or is unknown. It holds no prompt, no answer and no credential.
 */
export class GenerationRecord {
  readonly operation: Operation;
  readonly requestId: string;
  /** The model as the caller named it; "" for the default one. */
  readonly modelAsked: string;
  /** The caller's real address. */
  readonly clientIp: string | undefined;
  /** When the router took the request. */
  readonly enteredAtMs: number;
  /** The same in milliseconds since the epoch. */
  readonly createdAtMs: number;
  /** Who calls. Unset: refused before that was known. */
  principal: Principal | undefined = undefined;
  /** The underlying model that an engine was booked of. */
  modelId: string | undefined = undefined;
  /** The engine that has the call, or had it last; with its node. */
  engine: string | undefined = undefined;
  node: string | undefined = undefined;
  /** When an engine and quota were had. */
  bookedAtMs: number | undefined = undefined;
  /** When it was first sent to an engine. */
  sentAtMs: number | undefined = undefined;
  /** When the first of the answer came. */
  firstTokenAtMs: number | undefined = undefined;
  /** Set before observers are told. */
  endedAtMs: number | undefined = undefined;
  /** How long it waited for places and for models to load, in milliseconds. */
  queuedMs = 0;
  /** The engine process's own time from the request to its first token, and to its end, as the node told, in milliseconds. */
  engineFirstTokenMs: number | undefined = undefined;
  engineMs: number | undefined = undefined;
  /** What is charged. */
  promptTokens = 0;
  completionTokens = 0;
  /** The part of the prompt that was not computed again; of the completion, reasoning. */
  cachedTokens = 0;
  reasoningTokens = 0;
  /** How often it was sent to an engine; several choices of one call count each. */
  attempts = 0;
  /** How often another engine went on with what one had begun. */
  takeovers = 0;
  /** Why the first choice ended. Unset: none did. */
  finishReason: FinishReason | undefined = undefined;
  /** What broke the call. Unset: it ended as it should. */
  error: MeshError | undefined = undefined;

  constructor(
    operation: Operation,
    { requestId, clientIp }: Pick<GenerationCall, 'requestId' | 'clientIp'>,
    { modelAsked, createdAtMs }: { readonly modelAsked: string; readonly createdAtMs: number },
  ) {
    this.operation = operation;
    this.requestId = requestId;
    this.clientIp = clientIp;
    this.modelAsked = modelAsked;
    this.createdAtMs = createdAtMs;
    this.enteredAtMs = performance.now();
  }
}

/** Who is told of calls that are over: metrics, the request log, traces. */
export interface GenerationObserver {
  /** Called once per call, whatever ended it, after the caller was told. Keeps no hold of the record and never throws. */
  ended(record: GenerationRecord): void;
}

/** What a generation is called in telemetry. */
export function operationOf({ prompt }: Pick<GenerateRequest, 'prompt'>): Operation {
  return prompt?.input.case === 'chat' ? 'chat' : 'text_completion';
}

/** Ends a record and tells those who observe. */
export function tellEnded(
  observers: readonly GenerationObserver[],
  record: GenerationRecord,
  error: MeshError | undefined,
): void {
  record.error = error;
  record.endedAtMs = performance.now();
  for (const observer of observers) observer.ended(record);
}

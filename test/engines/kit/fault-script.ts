// What a fake engine does wrong, as JSON in $FAKE_SCRIPT: the same words for every engine.

/** Why a start fails; each fake says it in the texts of its own engine. */
export type FailedStart = 'oom-weights' | 'oom-kv' | 'device-busy' | 'bad-flag' | 'unsupported-model' | 'nccl';

/** Everything is optional; without any a fake behaves. */
export interface FaultScript {
  /** How many tokens to make; else what the request asks for, else 8. */
  readonly tokens?: number;
  /** The text of each token, by turns. Default " t0", " t1", …. */
  readonly texts?: readonly string[];
  /** How many tokens leave in one event, as when the reader is slower than the engine. Default 1. */
  readonly tokensPerChunk?: number;
  /** Pause between two tokens, in milliseconds. Default 0. */
  readonly everyMs?: number;
  /** How long a start takes, spread over its log lines, in milliseconds. Default 0. */
  readonly startMs?: number;
  /** Printed while it starts, instead of the engine's own lines. */
  readonly startLines?: readonly string[];
  readonly failStart?: FailedStart;
  /** Ends the process at a token of any generation. */
  readonly exitAtToken?: { readonly token: number; readonly code: number };
  /** From this token on no generation goes on and no step counter moves, while /health stays 200. */
  readonly hangAtToken?: number;
  /** The connection is cut at this token. */
  readonly cutAtToken?: number;
  /** As cutAtToken, after half an event. */
  readonly halfChunkAtToken?: number;
  /** An error inside the stream, under the status 200 that was sent before. */
  readonly errorAtToken?: number;
  /** Characters of four bytes, each over two tokens of which the engine tells the text with the second, and cut over packets. */
  readonly splitUtf8?: boolean;
  /** Bytes that are no UTF-8, in the text of a token and in a log line. */
  readonly invalidUtf8?: boolean;
  /** A grandchild in a session of its own that ignores SIGTERM. */
  readonly survivor?: boolean;
  readonly ignoreTerm?: boolean;
  /** The model it says it serves instead of the one it was told. */
  readonly wrongModel?: string;
  /** So much on standard error once it is ready. */
  readonly stderrFloodBytes?: number;
}

/** In a fake: the script it was started with. */
export function faultScript(): FaultScript {
  return JSON.parse(process.env.FAKE_SCRIPT ?? '{}') as FaultScript;
}

/** The variables that make a fake follow a script, for the `env` of an entry. */
export function scripted(script: FaultScript, recordFile?: string): Record<string, string> {
  return { FAKE_SCRIPT: JSON.stringify(script), ...(recordFile === undefined ? {} : { FAKE_RECORD: recordFile }) };
}

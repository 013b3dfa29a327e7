import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Prompt } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import type { EngineCapabilities } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';

/** A configured engine: what it can do and how to get at it. One per model entry. */
export interface EngineAdapter {
  /** Names the program, e.g. "llama.cpp"; shown, never decided upon. */
  readonly kind: string;
  readonly capabilities: EngineCapabilities;
  /** Where it is reached, without a credential. */
  readonly address: string;
  /** The underlying model as configured. Empty: the engine tells when it is ready. */
  readonly modelId: string;
  /** What it computes on until it tells better. */
  readonly deviceKind: string;
  /** Whether the process is ours to start and stop. */
  readonly lifecycle: 'started' | 'attached';
  /**
   * Makes what is needed for one start, or for one attachment. Does no I/O.
   *
   * @throws ConfigError when the environment lacks something that the entry names.
   */
  connect(setting: EngineSetting): EngineConnection;
}

/** What surrounds an engine on this node. */
export interface EngineSetting {
  /** A short private directory (mode 0700) for sockets. */
  readonly runDirectory: string;
  /** The Node.js binary that runs our own child programs. */
  readonly nodePath: string;
  /** Whether GPUs may be used. */
  readonly gpu: 'auto' | 'none';
  /** Reads one variable of the environment of the mesh. */
  readonly environmentVariable: (name: string) => string | undefined;
}

/** A way to one running engine. After a restart there is a new one. */
export interface EngineConnection {
  /** How to start the process. Unset: somebody else did. */
  readonly launch?: EngineLaunch;
  /** Runs a request; the contract of the token seam holds. */
  generate(request: GenerateRequest, call: GenerationCall, sink: GenerationSink): void;
  /**
   * The tokens of a prompt.
   *
   * @throws MeshError UNSUPPORTED_FIELD, INVALID_FIELD, NO_HEALTHY_ENGINE or ENGINE_FAILED.
   */
  tokenize(prompt: Prompt, signal: AbortSignal): Promise<readonly number[]>;
  /**
   * Asks how the engine is.
   *
   * @throws any error when it is not ready.
   */
  probe(signal: AbortSignal): Promise<EngineProbe>;
  /** Ends everything that still runs over it. */
  close(): Promise<void>;
}

/** A process to start: a program and its arguments, never a shell line. */
export interface EngineLaunch {
  readonly program: string;
  readonly args: readonly string[];
  /** Its own variables; a short list of the mesh's own is added. */
  readonly environment: Readonly<Record<string, string>>;
  /** Texts that must not appear in a log. */
  readonly secrets: readonly string[];
  /** What a line of its output says about its start. Undefined: nothing. */
  readonly readLine: (line: string) => EngineProgress | undefined;
}

/** How far a start is. */
export interface EngineProgress {
  readonly stage: string;
  /** 0 to 100. Unset: unknown. */
  readonly percent?: number | undefined;
  readonly deviceKind?: string | undefined;
  readonly contextTokens?: number | undefined;
  readonly maxConcurrency?: number | undefined;
}

/** What an engine says about itself. Unset: it does not tell. */
export interface EngineProbe {
  readonly modelId?: string | undefined;
  readonly contextTokens?: number | undefined;
  /** Requests in the engine's own queue. */
  readonly waiting?: number | undefined;
}

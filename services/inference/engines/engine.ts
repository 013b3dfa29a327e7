import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Prompt } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import type { EngineCapabilities, FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import type { RunIdentity } from '../devices/vram-ledger.ts';

/** A configured engine: what it can do and how to get at it. One per model entry. */
export interface EngineAdapter {
  /** Names the program, e.g. "llama.cpp"; shown, never decided upon. */
  readonly kind: string;
  readonly capabilities: EngineCapabilities;
  /** Where it is reached, without a credential. */
  readonly address: string;
  /** The underlying model as configured. Empty: the engine tells when it is ready. */
  readonly modelId: string;
  /** What its probe must name as `modelId`; anything else is another model. Unset: `modelId`. */
  readonly servedModelId?: string | undefined;
  /** What it computes on until it tells better. */
  readonly deviceKind: string;
  /** Whether the process is ours to start and stop. */
  readonly lifecycle: 'started' | 'attached';
  /** Whether it can give the memory of its devices back and keep its process. Then its connections have `sleeping`. */
  readonly canSleep?: boolean | undefined;
  /** How many loopback ports one start needs. 0: it listens on a Unix socket. */
  readonly portCount: number;
  /**
   * What it needs of the node's CUDA devices; reads the model's files for it. Undefined: nothing.
   *
   * @throws Error when the model's files cannot be read.
   */
  demand(): Promise<DeviceDemand | undefined>;
  /**
   * Makes what is needed for one start at a place, or for one attachment. Does no I/O.
   *
   * @throws ConfigError when the environment lacks something that the entry names.
   */
  connect(setting: EngineSetting, place: EnginePlace): EngineConnection;
}

/** What an engine needs of CUDA devices. */
export interface DeviceDemand {
  /** By which what it took is remembered. Unset: it is not. */
  readonly run?: RunIdentity | undefined;
  /** So many devices, with the same claim on each. At least 1. */
  readonly count: number;
  /** The indices that the entry names, `count` of them. Unset: any. */
  readonly indices?: readonly number[] | undefined;
  /** What it will take of each device: a share of the whole memory from 0 to 1, claimed whatever the model needs, or bytes. */
  readonly claim:
    | {
        readonly kind: 'share';
        readonly share: number;
        /** What it was seen to take, which may be more than it was told to. */
        readonly leastBytes?: number | undefined;
      }
    | { readonly kind: 'bytes'; readonly bytes: number };
  /** Whether it takes more with use than it has taken by its first token: then the estimate is never undercut. */
  readonly growsWithUse?: boolean | undefined;
  /** What the model is estimated to need on each device. */
  readonly neededBytes: number;
  /** Whether other engines may be on the same devices. */
  readonly shares: boolean;
  /** Whether it runs on the CPU where no device has room. */
  readonly fallsBackToCpu: boolean;
}

/** Where one start runs. */
export interface EnginePlace {
  /** CUDA indices in PCI bus order. Empty: none of ours. */
  readonly devices: readonly number[];
  /** Loopback ports for this start alone, `portCount` of them. */
  readonly ports: readonly number[];
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
  /**
   * Vectors for prompts, one each, in order. Unset: the engine has none.
   *
   * @throws MeshError as tokenize, and UNSUPPORTED_FIELD for `dimensions` where it cannot shorten.
   */
  embed?(inputs: readonly Prompt[], dimensions: number | undefined, signal: AbortSignal): Promise<EngineEmbeddings>;
  /** Its own metrics in Prometheus' text format; "" where it turns out to tell none. Unset: the engine tells none. */
  readonly metricsText?: ((signal: AbortSignal) => Promise<string>) | undefined;
  /** Gives the memory of the devices back and takes it again. Unset: the engine cannot. */
  readonly sleeping?: EngineSleep | undefined;
  /** Ends everything that still runs over it. */
  close(): Promise<void>;
}

/** How an engine sleeps: its weights in host memory, its process alive. */
export interface EngineSleep {
  /**
   * Gives the memory of the devices back. Nothing may run, nor is anything taken until `wake`.
   *
   * @throws any error when it does not sleep.
   */
  sleep(signal: AbortSignal): Promise<void>;
  /**
   * Takes the memory of the devices again.
   *
   * @throws any error when it is not awake.
   */
  wake(signal: AbortSignal): Promise<void>;
}

/** Vectors of an engine. */
export interface EngineEmbeddings {
  readonly vectors: readonly (readonly number[])[];
  readonly promptTokens: number;
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
  readonly readLine: (line: string, fromStderr: boolean) => EngineProgress | undefined;
  /** What lines of its output mean that tell why it failed, the most telling first. */
  readonly failures: readonly FailureSignature[];
}

/** A text by which a failure is known. */
export interface FailureSignature {
  /** Tried on one line at a time. */
  readonly pattern: RegExp;
  readonly cause: FailureCause;
  /** What to change, e.g. "Lower max_model_len or gpu_memory_utilization." */
  readonly hint: string;
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
  /** What it can honour with its model. */
  readonly capabilities?: EngineCapabilities | undefined;
  /** Requests in the engine's own queue. */
  readonly waiting?: number | undefined;
  /** Requests that it works on, whoever sent them. */
  readonly running?: number | undefined;
  /** Grows with every step of the engine while it works; frozen with running requests, it hangs. */
  readonly step?: number | undefined;
  /** Used share of its KV cache, 0 to 1. */
  readonly kvCacheUsed?: number | undefined;
}

import { readFileSync } from 'node:fs';
import {
  createFileRegistry,
  type DescEnum,
  type DescMessage,
  type DescService,
  type FileRegistry,
  fromBinary,
  type Message,
} from '@bufbuild/protobuf';
import { type Any, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

/**
 * The messages of connectrpc.conformance.v1 that a server reads and writes. Their descriptors come with the runner when it is
 * installed, so nothing of theirs is generated or kept here; what they mean stands in their `service.proto`.
 */

/** `Header`: a name with its values, in their order. */
export interface Header {
  readonly name: string;
  readonly value: string[];
}

/** `Error`: what the call is to end with. */
export interface WantedError {
  readonly code: number;
  readonly message?: string;
  readonly details: Any[];
}

/** `UnaryResponseDefinition`. */
export interface UnaryDefinition extends Message {
  readonly responseHeaders: Header[];
  readonly responseTrailers: Header[];
  readonly responseDelayMs: number;
  readonly response:
    | { readonly case: 'responseData'; readonly value: Uint8Array }
    | { readonly case: 'error'; readonly value: WantedError }
    | { readonly case: undefined };
}

/** `StreamResponseDefinition`. */
export interface StreamDefinition extends Message {
  readonly responseHeaders: Header[];
  readonly responseTrailers: Header[];
  readonly responseDelayMs: number;
  readonly responseData: Uint8Array[];
  readonly error?: WantedError;
}

/** Any request message; `fullDuplex` only of a BidiStreamRequest. */
export interface Request<Definition> extends Message {
  readonly responseDefinition?: Definition;
  readonly fullDuplex: boolean;
}

/** `ServerCompatRequest`: what the runner asks of a server. */
export interface WantedServer extends Message {
  readonly useTls: boolean;
  /** In bytes; 0: none. */
  readonly messageReceiveLimit: number;
  /** PEM. */
  readonly serverCreds?: { readonly cert: Uint8Array; readonly key: Uint8Array };
}

/** The contract of the suite. */
export interface Contract {
  readonly types: FileRegistry;
  readonly service: DescService;
  message(name: string): DescMessage;
}

const PACKAGE = 'connectrpc.conformance.v1';

/** Reads the descriptors that the installation left at `path`. */
export function readContract(path: string): Contract {
  const types = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(path)));
  const found = <T extends DescMessage | DescService | DescEnum>(desc: T | undefined, name: string): T => {
    if (!desc) throw new Error(`${path}: there is no ${PACKAGE}.${name}; remove the folder and run again`);
    return desc;
  };
  return {
    types,
    service: found(types.getService(`${PACKAGE}.ConformanceService`), 'ConformanceService'),
    message: (name) => found(types.getMessage(`${PACKAGE}.${name}`), name),
  };
}

import type { ServerResponse } from 'node:http';

/** How text is framed on the wire of one response. */
export interface Framing {
  /** A part of the body. */
  part(text: string): string;
  /** The last part of the body. */
  last(text: string): string;
}

const AS_IS: Framing = { part: (text) => text, last: (text) => text };

const CHUNKED: Framing = { part: chunk, last: (text) => `${chunk(text)}0\r\n\r\n` };

/**
 * Takes the chunked framing of a response over from Node, which hands every chunk to the socket in four pieces; as one
 * string it costs 2.5 µs less per token (measured, 256 streams of 50 tokens/s). To be called once, after `writeHead`.
 * HTTP/2 and HTTP/1.0 have no such framing.
 */
export function takeOverFraming(response: ServerResponse): Framing {
  if (response.chunkedEncoding !== true) return AS_IS;
  response.chunkedEncoding = false;
  return CHUNKED;
}

function chunk(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

import type { ServerResponse } from 'node:http';

/** The body of a response that is written in parts as they come. */
export interface StreamedBody {
  /** Sends a part now. Returns false when the client does not keep up; the response then emits `drain`. */
  write(text: string): boolean;
  /** Sends the last part and ends the response. */
  end(text: string): void;
}

/** To be called once, after `writeHead`. HTTP/2 and HTTP/1.0 frame no parts; they are written as they are. */
export function streamedBody(response: ServerResponse): StreamedBody {
  if (response.chunkedEncoding === true) return new ChunkedBody(response);
  return { write: (text) => response.write(text), end: (text) => void response.end(text) };
}

/**
 * Takes the chunked framing over from Node, which hands every chunk to the socket in four pieces, and once the head has left writes
 * to the socket itself: `ServerResponse.write` holds each part back for a tick of its own and answers it in another.
 */
class ChunkedBody implements StreamedBody {
  readonly #response: ServerResponse;
  #isHeadSent = false;
  #awaitsDrain = false;

  constructor(response: ServerResponse) {
    response.chunkedEncoding = false;
    this.#response = response;
  }

  write(text: string): boolean {
    const response = this.#response;
    const { socket } = response;
    const bytes = Buffer.byteLength(text);
    const chunk = `${bytes.toString(16)}\r\n${text}\r\n`;
    // The first part takes the head with it. Without a socket an earlier response of the connection is still being sent.
    if (!this.#isHeadSent || !socket) {
      this.#isHeadSent = socket !== null;
      return response.write(chunk);
    }
    if (socket.destroyed) return false;
    // As latin1 nothing needs to be encoded.
    if (socket.write(chunk, bytes === text.length ? 'latin1' : 'utf8')) return true;
    this.#tellDrain(socket);
    return false;
  }

  end(text: string): void {
    // A part without bytes would be the end, and what follows the end the next answer.
    const chunk = text && `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
    this.#response.end(`${chunk}0\r\n\r\n`);
  }

  /** Node tells it to the response only for what the response wrote. */
  #tellDrain(socket: NodeJS.EventEmitter): void {
    if (this.#awaitsDrain) return;
    this.#awaitsDrain = true;
    socket.once('drain', () => {
      this.#awaitsDrain = false;
      this.#response.emit('drain');
    });
  }
}

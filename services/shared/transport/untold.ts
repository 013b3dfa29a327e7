import type { NodeRequest } from './exchange.ts';

/**
 * Connections of HTTP/1.1 whose answer was under way when the drain began: its head was written before anybody could say in it that
 * the next request belongs elsewhere, so that one is still answered.
 */
export class Untold {
  readonly #sockets = new Set<object>();

  /**
   * Notes the connection of a request, if it is one that can be untold.
   *
   * @param onEnd is called when it is closed
   */
  add(request: NodeRequest, onEnd: () => void): void {
    if ('stream' in request) return;
    const { socket } = request;
    if (this.#sockets.has(socket) || socket.destroyed) return;
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      onEnd();
    });
  }

  has({ socket }: NodeRequest): boolean {
    return this.#sockets.has(socket);
  }

  /** How many are open. */
  get size(): number {
    return this.#sockets.size;
  }
}

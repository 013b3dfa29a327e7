/** What an object is counted with besides what it holds: about what V8 takes for a message with a few fields. */
const OBJECT_BYTES = 64;

/** A number, in an array or by itself. */
const NUMBER_BYTES = 8;

/** About how much memory a message holds, in bytes: its texts and binary fields, and a bit for each object. Pure. */
export function heldBytes(message: object): number {
  let bytes = 0;
  const left: unknown[] = [message];
  while (left.length > 0) {
    const value = left.pop();
    if (typeof value === 'string') bytes += value.length;
    else if (typeof value !== 'object' || value === null) bytes += NUMBER_BYTES;
    else if (value instanceof Uint8Array) bytes += value.byteLength;
    else {
      bytes += OBJECT_BYTES;
      for (const part of Object.values(value)) left.push(part);
    }
  }
  return bytes;
}

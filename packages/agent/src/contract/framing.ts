// SPDX-License-Identifier: Apache-2.0
// Cuts the byte stream between agent and runner into frames: four bytes of length, then JSON.

/** Largest frame that either side may send, as the contract says. */
export const maxFrameBytes = 4 * 1024 * 1024;

const headBytes = 4;

/** A peer broke the contract; the connection cannot be used any further. */
export class FramingError extends Error {
  override readonly name = "FramingError";
}

/** One frame as it goes over the socket. */
export function encodeFrame(frame: object): Buffer {
  const text = JSON.stringify(frame);
  const bytes = Buffer.byteLength(text);
  if (bytes > maxFrameBytes) {
    throw new FramingError(`a frame of ${bytes} bytes is over the limit of ${maxFrameBytes}`);
  }
  const buffer = Buffer.allocUnsafe(headBytes + bytes);
  buffer.writeUInt32BE(bytes, 0);
  buffer.write(text, headBytes, "utf8");
  return buffer;
}

/**
 * Cuts `events` into frames under the limit. Events are small beside it, so a frame is halved only in
 * the rare case that it is too large; an event that is too large alone is an error.
 */
export function encodeFrames<Event extends object>(events: readonly Event[]): Buffer[] {
  if (events.length === 0) return [];
  try {
    return [encodeFrame({ events })];
  } catch (error) {
    if (!(error instanceof FramingError) || events.length === 1) throw error;
    const middle = Math.floor(events.length / 2);
    return [...encodeFrames(events.slice(0, middle)), ...encodeFrames(events.slice(middle))];
  }
}

/** Puts frames together again from whatever pieces the socket delivers. */
export class FrameReader {
  #pieces: Buffer[] = [];
  #held = 0;
  /** Bytes that the frame at the front needs, its head included; 0 while the head is not whole. */
  #needed = 0;

  /** Takes a piece and gives the frames that it completes, as parsed JSON. */
  push(piece: Buffer): unknown[] {
    this.#pieces.push(piece);
    this.#held += piece.length;
    const frames: unknown[] = [];
    while (this.#complete()) {
      const buffer = this.#join();
      frames.push(parseFrame(buffer.subarray(headBytes, this.#needed)));
      const rest = buffer.subarray(this.#needed);
      this.#pieces = rest.length > 0 ? [rest] : [];
      this.#held = rest.length;
      this.#needed = 0;
    }
    return frames;
  }

  #complete(): boolean {
    if (this.#needed === 0) {
      if (this.#held < headBytes) return false;
      const length = this.#join().readUInt32BE(0);
      if (length > maxFrameBytes) {
        throw new FramingError(`a frame of ${length} bytes is over the limit of ${maxFrameBytes}`);
      }
      this.#needed = headBytes + length;
    }
    return this.#held >= this.#needed;
  }

  #join(): Buffer {
    const [first] = this.#pieces;
    if (this.#pieces.length === 1 && first !== undefined) return first;
    const joined = Buffer.concat(this.#pieces, this.#held);
    this.#pieces = [joined];
    return joined;
  }
}

function parseFrame(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw new FramingError("a frame is not JSON", { cause });
  }
}

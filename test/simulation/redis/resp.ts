// SPDX-License-Identifier: Apache-2.0
// The wire of Redis (RESP2), as far as the simulation speaks it.

export type RespValue = Buffer | number | null | RespError | RespValue[];

export class RespError {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

export function encodeCommand(args: readonly (string | number | Uint8Array)[]): Buffer {
  const parts: (string | Uint8Array)[] = [`*${args.length}\r\n`];
  for (const arg of args) {
    const bytes = typeof arg === "string" || typeof arg === "number" ? Buffer.from(`${arg}`) : arg;
    parts.push(`$${bytes.length}\r\n`, bytes, "\r\n");
  }
  return Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part)));
}

/** Puts replies together from whatever pieces the socket delivers. */
export class RespReader {
  #buffer: Buffer = Buffer.alloc(0);
  #at = 0;

  push(piece: Buffer): RespValue[] {
    this.#buffer =
      this.#at >= this.#buffer.length
        ? piece
        : Buffer.concat([this.#buffer.subarray(this.#at), piece]);
    this.#at = 0;
    const values: RespValue[] = [];
    for (;;) {
      const begin = this.#at;
      const value = this.#read();
      if (value === undefined) {
        this.#at = begin;
        return values;
      }
      values.push(value);
    }
  }

  #line(): string | undefined {
    const end = this.#buffer.indexOf("\r\n", this.#at);
    if (end === -1) return undefined;
    const line = this.#buffer.toString("latin1", this.#at, end);
    this.#at = end + 2;
    return line;
  }

  #read(): RespValue | undefined {
    const line = this.#line();
    if (line === undefined) return undefined;
    const rest = line.slice(1);
    switch (line[0]) {
      case "$":
        return this.#bulk(Number(rest));
      case "+":
        return Buffer.from(rest, "latin1");
      case "-":
        return new RespError(rest);
      case ":":
        return Number(rest);
      case "*":
        return this.#items(Number(rest));
      default:
        throw new Error(`redis said something that is not understood: ${line}`);
    }
  }

  #bulk(length: number): Buffer | null | undefined {
    if (length < 0) return null;
    if (this.#at + length + 2 > this.#buffer.length) return undefined;
    const bytes = Buffer.from(this.#buffer.subarray(this.#at, this.#at + length));
    this.#at += length + 2;
    return bytes;
  }

  #items(count: number): RespValue[] | null | undefined {
    if (count < 0) return null;
    const items: RespValue[] = [];
    for (let at = 0; at < count; at++) {
      const item = this.#read();
      if (item === undefined) return undefined;
      items.push(item);
    }
    return items;
  }
}

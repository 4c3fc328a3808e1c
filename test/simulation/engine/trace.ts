// SPDX-License-Identifier: Apache-2.0
// What happened, as one line per fact: hashed for "same seed, same trace", kept for people when asked.

import { createHash } from "node:crypto";

export class Trace {
  readonly #hash = createHash("sha256");
  readonly #lines: string[] | undefined;
  #count = 0;

  /** Whether every event of the world is a line too. */
  readonly everyEvent: boolean;

  constructor(keep: boolean, everyEvent = false) {
    this.#lines = keep ? [] : undefined;
    this.everyEvent = everyEvent;
  }

  get count(): number {
    return this.#count;
  }

  get lines(): readonly string[] {
    return this.#lines ?? [];
  }

  add(atMs: number, who: string, what: string, detail = ""): void {
    const line = `${atMs.toFixed(3)} ${who} ${what}${detail === "" ? "" : ` ${detail}`}`;
    this.#count += 1;
    this.#hash.update(line).update("\n");
    this.#lines?.push(line);
  }

  digest(): string {
    return this.#hash.copy().digest("hex").slice(0, 16);
  }
}

// SPDX-License-Identifier: Apache-2.0
// Decides when what was gathered is carried out: at once while little happens, joined while much does.

/** How often something may be done at a stretch before it is paced. */
const burst = 4;

/**
 * A write costs both ends a wake-up, which is more than most events cost. While writes are rare, each
 * happens at the end of its turn of the event loop; when they follow each other faster than `paceMs`
 * allows, they are joined. So an idle process answers at once, and a busy one spends its time on work.
 */
export class Pacer {
  readonly #paceMs: number;
  readonly #write: () => void;
  #credit = burst;
  #countedAtMs = performance.now();
  #cancel: (() => void) | undefined;

  constructor(paceMs: number, write: () => void) {
    this.#paceMs = paceMs;
    this.#write = write;
  }

  /** There is something to write. */
  request(): void {
    if (this.#cancel !== undefined) return;
    const nowMs = performance.now();
    const earned = (nowMs - this.#countedAtMs) / this.#paceMs;
    this.#credit = Math.min(burst, this.#credit + earned);
    this.#countedAtMs = nowMs;
    if (this.#credit >= 1) {
      const immediate = setImmediate(() => this.#fire());
      this.#cancel = () => clearImmediate(immediate);
    } else {
      const timer = setTimeout(() => this.#fire(), (1 - this.#credit) * this.#paceMs);
      this.#cancel = () => clearTimeout(timer);
    }
  }

  /** Whoever wrote by himself says so: nothing waits any more. */
  written(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #fire(): void {
    this.#cancel = undefined;
    this.#credit -= 1;
    this.#write();
  }
}

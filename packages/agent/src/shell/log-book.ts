// SPDX-License-Identifier: Apache-2.0
// Remembers where the runner writes the logs of attempts, and finds older ones by their place on disk.

import { isAbsolute } from "node:path";
import { compareRefs, formatRef, type NumberedRef } from "@remex/domain";
import { findNewestLog, logPathOf } from "../runner/attempt-log.ts";

/** So many tasks are remembered; the log of an older one is found by the usual place alone. */
const mostTasks = 5_000;

interface KnownLog {
  readonly attempt: NumberedRef;
  readonly path: string;
}

export class LogBook {
  readonly #stateDir: string;
  readonly #known = new Map<string, KnownLog[]>();

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  /** The runner said where an attempt's log is. */
  note(task: string, attempt: NumberedRef, path: string): void {
    if (!isAbsolute(path)) return;
    const logs = (this.#known.get(task) ?? []).filter(
      (log) => compareRefs(log.attempt, attempt) !== 0,
    );
    logs.push({ attempt, path });
    this.#known.delete(task);
    this.#known.set(task, logs);
    if (this.#known.size > mostTasks) {
      const oldest = this.#known.keys().next().value;
      if (oldest !== undefined) this.#known.delete(oldest);
    }
  }

  /** The file of an attempt's log, or of the newest attempt's; undefined when none is known. */
  find(task: string, attempt: NumberedRef | undefined): string | undefined {
    // The task becomes part of a path, and comes from the far side.
    if (!/^[A-Za-z0-9_-]+$/.test(task)) return undefined;
    const logs = this.#known.get(task) ?? [];
    if (attempt !== undefined) {
      const known = logs.find((log) => formatRef(log.attempt) === formatRef(attempt));
      return known?.path ?? logPathOf(this.#stateDir, task, attempt);
    }
    const newest = logs.toSorted((left, right) => compareRefs(left.attempt, right.attempt)).at(-1);
    return newest?.path ?? findNewestLog(this.#stateDir, task);
  }
}

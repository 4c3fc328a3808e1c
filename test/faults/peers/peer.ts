// SPDX-License-Identifier: Apache-2.0
// Systems that run the same tasks under the same fault, and what is measured of each.

/** "host" is everything of a worker, its tasks too; "process" is its one main process. */
export type Fault = "host" | "process";

export interface Peer extends AsyncDisposable {
  readonly name: string;
  /** Folder of the tasks' journals. */
  readonly journals: string;
  /** Main process of each worker. */
  workers(): readonly number[];
  submit(tasks: number, seconds: number): Promise<void>;
  /** When the system itself called the worker failed, in wall ms; undefined when it has no such thing or not yet. */
  failedAtMs?(): number | undefined;
}

export interface Trial {
  readonly tasksHit: number;
  readonly runAgain: number;
  /** From the kill to the start of the next copy, in seconds. */
  readonly secondsToRunAgain: readonly number[];
  /** Tasks of which two copies ran at once. */
  readonly twoAtOnce: number;
  readonly neverRunAgain: number;
  readonly secondsToDetection?: number;
}

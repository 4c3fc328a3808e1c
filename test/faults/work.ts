// SPDX-License-Identifier: Apache-2.0
// The work of a world: submits tasks until each is acknowledged, and knows which have ended.

import { fileURLToPath } from "node:url";
import type { operatorOf } from "../kit/operator.ts";
import { waitFor } from "../kit/wait.ts";
import type { FinalTask } from "./history.ts";
import type { Recorder } from "./recorder.ts";

const taskFile = fileURLToPath(new URL("./task.py", import.meta.url));
const ended: ReadonlySet<string> = new Set(["SUCCEEDED", "FAILED", "CANCELED"]);
/** Long enough for an outage and what follows it. */
const acknowledgedWithinMs = 180_000;

export interface WorkDeps {
  readonly operator: ReturnType<typeof operatorOf>;
  readonly recorder: Recorder;
  /** Folder of the tasks' journals. */
  readonly journals: string;
  readonly taskSeconds: (number: number) => number;
}

export interface Work {
  /** Ids of the tasks whose submission was acknowledged, in order. */
  readonly submitted: readonly string[];
  submitOne(): Promise<void>;
  /** After the store lost its history: submits what is not known to have ended once more, with its key. */
  submitLostAgain(): Promise<void>;
  /** Tasks that have not been heard to end. */
  unfinished(): string[];
  /** All tasks as they ended; throws while one is open. */
  finals(): Promise<FinalTask[]>;
}

export function createWork(deps: WorkDeps): Work {
  const { operator, recorder, journals, taskSeconds } = deps;
  const submitted: string[] = [];
  const seconds: number[] = [];
  let resets = 0;

  /** Repeated with the same key until it is acknowledged: that is the promise that is tested. */
  function submit(number: number): Promise<string> {
    const argv = ["python3", "-S", "-E", taskFile, journals, String(seconds[number])];
    const spec = {
      maxRecoveries: 500,
      work: { case: "command" as const, value: { argv } },
    };
    return waitFor(() => operator.submit(spec, `task-${number}`), {
      what: `acknowledgement of task ${number}`,
      timeoutMs: acknowledgedWithinMs,
    });
  }

  function heardEnds(): Map<string, FinalTask> {
    const ends = recorder.changes.filter(({ state }) => ended.has(state));
    return new Map(ends.map((end) => [end.task, { ...end, staleReports: 0 }]));
  }

  function unfinished(): string[] {
    const heard = heardEnds();
    return submitted.filter((task) => !heard.has(task));
  }

  return {
    submitted,
    submitOne: async () => {
      const number = seconds.push(taskSeconds(seconds.length)) - 1;
      submitted.push(await submit(number));
    },
    submitLostAgain: async () => {
      const now = recorder.resets();
      if (now === resets) return;
      resets = now;
      for (const task of unfinished()) await submit(submitted.indexOf(task));
    },
    unfinished,
    finals: async () => {
      const read = new Map((await recorder.read(submitted)).map((each) => [each.task, each]));
      const heard = heardEnds();
      // What a wiped store has forgotten was heard to end before.
      const all = submitted.map((task) => read.get(task) ?? heard.get(task));
      const open = all.filter((each) => each === undefined || !ended.has(each.state));
      if (open.length === 0) return all.filter((each) => each !== undefined);
      throw new Error(`${open.length} tasks are open: ${JSON.stringify(open.slice(0, 3))}`);
    },
  };
}

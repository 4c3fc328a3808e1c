// SPDX-License-Identifier: Apache-2.0
// What runs on the agent when Airflow is left out: a few plain commands, one of which waits and one of which retries.

import path from "node:path";
import { say, step } from "../launch/progress.mjs";
import { type ControlPlane, deployment } from "./control-plane.ts";
import { describeChange, type RunResult, type TaskLine } from "./summary.ts";

const finishedWithinMs = 120_000;
const pollMs = 300;

interface Sample {
  readonly command: string;
  readonly options?: readonly string[];
}

function samplesOf(dataDir: string): Readonly<Record<string, Sample>> {
  return {
    hello: { command: "echo hello from $(hostname)" },
    count: { command: "for i in 1 2 3; do echo $i; sleep 1; done" },
    largest_files: { command: "du -a . 2>/dev/null | sort -rn | head -5" },
    no_token: { command: 'test -z "$REMEX_AGENT_TOKEN$REMEX_KEY"' },
    // Its first try leaves the mark that its second one takes away.
    succeeds_on_second_try: {
      command: 'rmdir "$MARK" || { mkdir "$MARK"; echo "the first try fails on purpose"; exit 1; }',
      options: ["--max-retries", "2", "--env", `MARK=${path.join(dataDir, "tried-once")}`],
    },
  };
}

/** What is read of a task; times are RFC 3339, durations are like "1.5s". */
interface RemexTask {
  readonly task: string;
  readonly state: string;
  readonly attempts: number;
  readonly attempt?: {
    readonly agent: string;
    readonly stage: string;
    readonly outcome?: { readonly runTime?: string };
  };
}

function toLine(name: string, task: RemexTask): TaskLine {
  const state = task.state.replace("TASK_STATE_", "").toLowerCase();
  const runTime = task.attempt?.outcome?.runTime;
  const runs = state === "assigned" && task.attempt?.stage === "ATTEMPT_STAGE_STARTED";
  return {
    group: "sample",
    task: name,
    state: runs ? "running" : state,
    agent: task.attempt?.agent ?? "",
    tries: task.attempts,
    seconds: runTime === undefined ? undefined : Number.parseFloat(runTime),
  };
}

async function submit(plane: ControlPlane, { command, options = [] }: Sample): Promise<string> {
  const words = ["tasks", "submit", "--deployment", deployment, ...options];
  return (await plane.remex<{ task: string }>(...words, "--", "sh", "-c", command)).task;
}

/** Asks until all have ended, saying what changed. */
async function follow(plane: ControlPlane, names: Map<string, string>): Promise<TaskLine[]> {
  const told = new Map<string, string>();
  const deadline = performance.now() + finishedWithinMs;
  for (;;) {
    const tasks = await plane.remex<RemexTask[]>("tasks", "list", "--deployment", deployment);
    const lines = tasks
      .filter(({ task }) => names.has(task))
      .map((task) => toLine(names.get(task.task) ?? "", task));
    for (const line of lines) {
      if (told.get(line.task) !== line.state) say(describeChange(line));
      told.set(line.task, line.state);
    }
    const open = lines.filter(({ state }) => ["queued", "assigned", "running"].includes(state));
    if (open.length === 0 || performance.now() > deadline) return lines;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

export async function runSamples(plane: ControlPlane, dataDir: string): Promise<RunResult> {
  return step("running sample commands on the agent", async () => {
    const submitted = Object.entries(samplesOf(dataDir)).map(
      async ([name, sample]) => [await submit(plane, sample), name] as const,
    );
    const tasks = await follow(plane, new Map(await Promise.all(submitted)));
    return {
      groups: tasks.map((line) => ({ group: line.task, succeeded: line.state === "succeeded" })),
      tasks,
    };
  });
}

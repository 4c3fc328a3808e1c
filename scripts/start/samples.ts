// SPDX-License-Identifier: Apache-2.0
// What runs on the agent when Airflow is left out: a few plain commands, one of which waits and one of which retries.

import { say, step } from "../launch/progress.mjs";
import { type ControlPlane, deployment } from "./control-plane.ts";
import { describeChange, type RunResult, type TaskLine } from "./summary.ts";

const finishedWithinMs = 120_000;
const pollMs = 300;

/** By name: the command, as the shell would get it. */
const samples: Readonly<Record<string, string>> = {
  hello: "echo hello from $(hostname)",
  count: "for i in 1 2 3; do echo $i; sleep 1; done",
  largest_files: "du -a . 2>/dev/null | sort -rn | head -5",
  environment: 'env | grep -c "" && test -z "$REMEX_TOKEN"',
};

interface RemexTask {
  readonly task: string;
  readonly state: string;
  readonly agent?: string;
  readonly tries?: number;
  readonly durationSeconds?: number;
}

function toLine(name: string, task: RemexTask): TaskLine {
  return {
    group: "sample",
    task: name,
    state: task.state.toLowerCase(),
    agent: task.agent ?? "",
    tries: task.tries ?? 1,
    seconds: task.durationSeconds,
  };
}

async function follow(plane: ControlPlane, name: string, id: string): Promise<TaskLine> {
  let told = "";
  const deadline = performance.now() + finishedWithinMs;
  for (;;) {
    const line = toLine(
      name,
      await plane.remex<RemexTask>("tasks", "get", id, "--deployment", deployment),
    );
    if (line.state !== told) say(describeChange(line));
    told = line.state;
    const ended = !["pending", "offered", "starting", "running"].includes(line.state);
    if (ended || performance.now() > deadline) return line;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

export async function runSamples(plane: ControlPlane): Promise<RunResult> {
  return step("running sample commands on the agent", async () => {
    const submitted: [string, string][] = [];
    for (const [name, command] of Object.entries(samples)) {
      const submit = ["tasks", "submit", "--deployment", deployment, "--queue", "default"];
      const task = await plane.remex<{ task: string }>(...submit, "--", "sh", "-c", command);
      submitted.push([name, task.task]);
    }
    const tasks = await Promise.all(submitted.map(([name, id]) => follow(plane, name, id)));
    return {
      groups: tasks.map((line) => ({ group: line.task, succeeded: line.state === "succeeded" })),
      tasks,
    };
  });
}

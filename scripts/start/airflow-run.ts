// SPDX-License-Identifier: Apache-2.0
// Runs the example DAGs through Airflow's REST API and follows every task to its end.

import { LaunchError, say, step } from "../launch/progress.mjs";
import type { AirflowApi, TaskInstance } from "./airflow-api.ts";
import { describeChange, type GroupResult, type RunResult, type TaskLine } from "./summary.ts";
import { waitUntil } from "./wait.ts";

const parsedWithinMs = 180_000;
const finishedWithinMs = 600_000;
const pollMs = 700;
const ended = ["success", "failed", "skipped", "upstream_failed", "removed"];
const shown = ["running", "up_for_retry", ...ended];

interface DagRun {
  readonly dag: string;
  readonly run: string;
}

function toLine(dag: string, task: TaskInstance): TaskLine {
  return {
    group: dag,
    task: task.mapIndex < 0 ? task.taskId : `${task.taskId}[${task.mapIndex}]`,
    state: task.state ?? "none",
    agent: task.hostname ?? "",
    tries: task.tryNumber,
    seconds: task.durationSeconds ?? undefined,
  };
}

async function waitForDags(api: AirflowApi, dags: readonly string[]): Promise<void> {
  for (const dag of dags) {
    const ask = () => api.hasDag(dag);
    await waitUntil(
      `DAG ${dag}`,
      parsedWithinMs,
      ask,
      "read the log of airflow-dag-processor",
    ).catch(async (error: unknown) => {
      const errors = await api.importErrors().catch(() => []);
      if (errors.length === 0 || !(error instanceof LaunchError)) throw error;
      throw new LaunchError(
        `${error.message}\n${errors.join("\n")}`,
        "mend the DAG file named above",
      );
    });
  }
}

/**
 * Makes a run of each DAG while nothing runs yet. Airflow writes its log of changes from the api-server's
 * event loop; with SQLite such a write waits for the one of a task, which waits for the event loop.
 */
async function triggerAll(api: AirflowApi, dags: readonly string[]): Promise<DagRun[]> {
  await api.setPaused(true);
  const runs: DagRun[] = [];
  for (const dag of dags) runs.push({ dag, run: await api.trigger(dag) });
  await api.setPaused(false);
  return runs;
}

/** Follows the runs until all have ended, saying what changed; remembers what was said in `told`. */
async function follow(api: AirflowApi, runs: readonly DagRun[]): Promise<RunResult> {
  const told = new Map<string, string>();
  const deadline = performance.now() + finishedWithinMs;
  for (;;) {
    const tasks = (await Promise.all(runs.map((run) => loadTasks(api, run)))).flat();
    for (const line of tasks) tellOnce(told, line);
    const states = await Promise.all(runs.map(({ dag, run }) => api.runState(dag, run)));
    const allEnded = states.every((state) => state === "success" || state === "failed");
    if (allEnded || performance.now() > deadline) {
      const final = (await Promise.all(runs.map((run) => loadTasks(api, run)))).flat();
      for (const line of final) tellOnce(told, line);
      const groups = runs.map(
        ({ dag }, i): GroupResult => ({ group: dag, succeeded: states[i] === "success" }),
      );
      return { groups, tasks: final };
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

async function loadTasks(api: AirflowApi, { dag, run }: DagRun): Promise<TaskLine[]> {
  return (await api.taskInstances(dag, run)).map((task) => toLine(dag, task));
}

function tellOnce(told: Map<string, string>, line: TaskLine): void {
  const key = `${line.group}.${line.task}`;
  const state = `${line.state} ${line.tries}`;
  if (told.get(key) === state || !shown.includes(line.state)) return;
  told.set(key, state);
  say(describeChange(line));
}

export async function runDags(api: AirflowApi, dags: readonly string[]): Promise<RunResult> {
  await step("waiting for Airflow to read the DAGs", () => waitForDags(api, dags));
  const runs = await triggerAll(api, dags);
  return step(`running ${dags.length} DAGs on the agent`, () => follow(api, runs));
}

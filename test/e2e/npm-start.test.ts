// SPDX-License-Identifier: Apache-2.0
// What a new user runs: everything on one machine, with real Airflow and without it, and nothing left behind.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTempDir, type Program, startProgram, type TempDir, waitFor } from "../kit/index.ts";

const main = fileURLToPath(new URL("../../scripts/start/main.ts", import.meta.url));
const runWithinMs = 480_000;

interface Summary {
  readonly groups: readonly { group: string; succeeded: boolean }[];
  readonly tasks: readonly {
    group: string;
    task: string;
    state: string;
    agent: string;
    tries: number;
  }[];
}

function start(dir: TempDir, ...options: string[]): Program {
  const places = ["--data-dir", path.join(dir.path, "data"), "--summary-file", summaryFile(dir)];
  return startProgram(process.execPath, [main, ...places, ...options]);
}

const summaryFile = (dir: TempDir) => path.join(dir.path, "summary.json");
const readSummary = (dir: TempDir) => JSON.parse(readFileSync(summaryFile(dir), "utf8")) as Summary;

/** The processes whose command line or environment speaks of the run's folder. */
function leftRunning(dir: TempDir): string[] {
  const lines = spawnSync("ps", ["-A", "-ww", "-o", "pid=,stat=,args="])
    .stdout.toString()
    .split("\n");
  return lines.filter((line) => line.includes(dir.path) && !/^\s*\d+\s+Z/.test(line));
}

describe("npm start -- --once with real Airflow", () => {
  let dir: TempDir;
  let output = "";
  let agentEnvironment = "";

  beforeAll(async () => {
    dir = await createTempDir();
    const program = start(dir, "--once");
    try {
      const programs = path.join(dir.path, "data", "programs.json");
      await program.waitForOutput(/running 7 DAGs/, runWithinMs);
      const records = JSON.parse(readFileSync(programs, "utf8")) as { name: string; pid: number }[];
      const agent = records.find(({ name }) => name === "agent-1");
      agentEnvironment = readFileSync(`/proc/${agent?.pid}/environ`, "utf8");
      expect(await program.ended, program.output()).toBe(0);
    } finally {
      output = program.output();
      await program.stop();
    }
  }, runWithinMs);

  afterAll(() => dir[Symbol.asyncDispose]());

  test("R5: Airflow's example DAGs succeed on a remote agent", () => {
    const { groups, tasks } = readSummary(dir);
    expect(groups.map(({ group }) => group)).toEqual([
      "example_bash_operator",
      "tutorial_taskflow_api",
      "example_xcom",
      "example_dynamic_task_mapping",
      "example_task_group",
      "example_branch_operator",
      "remex_retry",
    ]);
    expect(groups.filter(({ succeeded }) => !succeeded)).toEqual([]);
    const ran = tasks.filter(({ agent }) => agent !== "");
    expect(new Set(ran.map(({ agent }) => agent))).toEqual(new Set(["agent-1"]));
    expect(ran.length).toBeGreaterThan(20);
  });

  test("Airflow's retry runs as a second try", () => {
    const retried = readSummary(dir).tasks.find(({ task }) => task === "succeeds_on_second_try");
    expect(retried).toMatchObject({ state: "success", tries: 2 });
  });

  test("R5: the agent's environment names no database and no key of Airflow's servers", () => {
    expect(agentEnvironment).toContain("PATH=");
    expect(agentEnvironment).not.toMatch(
      /SQL_ALCHEMY_CONN|FERNET_KEY|JWT_SECRET|SECRET_KEY|REDIS_URL/,
    );
  });

  test("each task is shown with its state and agent, and nothing is left running", async () => {
    expect(output).toMatch(/example_xcom\.push: success on agent-1 after/);
    await waitFor(() => leftRunning(dir).length === 0, { what: "the end of all processes" });
  });
});

describe("npm start -- --without-airflow", () => {
  test("runs sample commands, keeps running, and leaves nothing after Ctrl-C", async () => {
    await using dir = await createTempDir();
    await using program = start(dir, "--without-airflow");
    await program.waitForOutput(/everything keeps running/, 120_000);
    expect(readSummary(dir).groups.every(({ succeeded }) => succeeded)).toBe(true);
    program.signal("SIGINT");
    expect(await program.ended).toBe(0);
    expect(leftRunning(dir)).toEqual([]);
  });

  test("a second start over the same folder is refused while the first one runs", async () => {
    await using dir = await createTempDir();
    await using first = start(dir, "--without-airflow");
    await first.waitForOutput(/starting Redis/);
    await using second = start(dir, "--without-airflow", "--once");
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain("another npm start");
  });
});

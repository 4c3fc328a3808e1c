// SPDX-License-Identifier: Apache-2.0
// What a new user runs: everything on one machine, with real Airflow and without it, and nothing left behind.

import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { below, listProcesses, type Process } from "../../scripts/start/processes.ts";
import { createTempDir, type Program, startProgram, type TempDir } from "../kit/index.ts";
import { type Environment, environmentsBelow, untilGone } from "../kit/process-tree.ts";

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

const isAirflowDone = /running 7 DAGs on the agent: done/;

describe("npm start -- --once with real Airflow", () => {
  let dir: TempDir;
  let output = "";
  let code: number | string = "";
  let started: readonly Process[] = [];
  let agentSide: readonly Environment[] = [];

  beforeAll(async () => {
    dir = await createTempDir();
    const program = start(dir, "--once");
    try {
      await program.waitForOutput(/: running on agent-1/, runWithinMs);
      started = below(program.pid, listProcesses());
      const records = path.join(dir.path, "data", "programs.json");
      const programs = JSON.parse(readFileSync(records, "utf8")) as { name: string; pid: number }[];
      const agent = programs.find(({ name }) => name === "agent-1")?.pid ?? 0;
      agentSide = environmentsBelow(agent);
      await program.waitForOutput(isAirflowDone, runWithinMs);
      code = await program.ended;
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

  test("R5: agent and runner have no database and no key of Airflow's servers", () => {
    const [agent, runner] = agentSide;
    expect(agent?.text).toContain("PATH=");
    expect(runner?.args).toContain("remex-airflow runner");
    const forbidden = /AIRFLOW__DATABASE__|FERNET|JWT_SECRET|SECRET_KEY|REDIS_URL|REMEX_KEY/;
    expect(agent?.text).not.toMatch(forbidden);
    expect(runner?.text).not.toMatch(forbidden);
  });

  test("R5: nothing on the agent's side, tasks included, holds a server's key or its database", () => {
    const airflow = path.join(dir.path, "data", "airflow");
    const keys = readFileSync(path.join(airflow, "secrets.json"), "utf8");
    const secrets = [airflow, ...Object.values(JSON.parse(keys) as Record<string, string>)];
    expect(secrets).toHaveLength(4);
    expect(agentSide.length).toBeGreaterThan(2);
    for (const { args, text } of agentSide) {
      const found = secrets.filter((secret) => text.includes(secret));
      expect(found, `environment of ${args}`).toEqual([]);
    }
  });

  test("each task is shown with its state, agent and duration", () => {
    expect(code, output).toBe(0);
    expect(output).toMatch(/example_xcom\.push: success on agent-1 after \d+\.\d\d s/);
    expect(output).toContain("7 of 7 succeeded");
  });

  test("nothing is left running", async () => {
    expect(started.length).toBeGreaterThan(6);
    await untilGone(started);
  });
});

describe("npm start -- --without-airflow", () => {
  test("runs sample commands, keeps running, and leaves nothing after Ctrl-C", async () => {
    await using dir = await createTempDir();
    await using program = start(dir, "--without-airflow");
    await program.waitForOutput(/everything keeps running/, 120_000);
    expect(readSummary(dir).groups.filter(({ succeeded }) => !succeeded)).toEqual([]);
    const url = /Remex API \(REMEX_URL\)\s+(\S+)/.exec(program.output())?.[1] ?? "";
    expect((await fetch(url)).status).toBeGreaterThan(0);
    const started = below(program.pid, listProcesses());
    expect(started.length).toBeGreaterThan(3);
    program.signal("SIGINT");
    expect(await program.ended).toBe(0);
    await untilGone(started);
    await expect(fetch(url)).rejects.toThrow();
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

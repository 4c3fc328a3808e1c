// SPDX-License-Identifier: Apache-2.0
// The remex command against a real control plane with a real agent: from an empty store to a task's log.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AgentProcess, startAgent } from "../kit/agent-process.ts";
import { type ControlPlane, startControlPlane } from "../kit/control-plane.ts";
import { type RemexRun, runRemex } from "../kit/remex-command.ts";
import { waitFor } from "../kit/wait.ts";

let plane: ControlPlane;
let agent: AgentProcess | undefined;

beforeAll(async () => {
  plane = await startControlPlane();
});

afterAll(async () => {
  await agent?.[Symbol.asyncDispose]();
  await plane?.stop();
});

/** Runs a command with the first admin key's file, as an operator does at the start. */
function remex(...args: string[]): Promise<RemexRun> {
  return runRemex(args, { env: { REMEX_URL: plane.url, REMEX_KEY_FILE: plane.adminKeyFile } });
}

async function json(...args: string[]) {
  const run = await remex("-o", "json", ...args);
  expect(run.exitCode, run.stderr).toBe(0);
  return JSON.parse(run.stdout);
}

test("R3: a deployment is made, changed, and has its queues", async () => {
  expect(await json("deployments", "list")).toEqual([]);
  expect(
    await json("deployments", "create", "default", "--heartbeat", "2s", "--stop-time", "1s"),
  ).toMatchObject({
    deployment: "default",
    settings: { heartbeatInterval: "2s", stopTime: "1s", onCut: "ON_CUT_CONTINUE" },
  });
  expect((await remex("deployments", "create", "default", "--heartbeat", "5s")).exitCode).toBe(1);
  const update = ["--airflow-api-url", "http://127.0.0.1:1", "--max-slot-cost", "10"];
  const updated = await json("deployments", "update", "default", ...update, "--retention", "2h");
  expect(updated.settings).toMatchObject({ maxSlotCost: 10, taskRetention: "7200s" });
  const removed = await json("deployments", "update", "default", "--airflow-api-url", "none");
  expect(removed.settings.airflowApiUrl ?? "").toBe("");
  expect(await json("deployments", "get", "default")).toEqual(removed);
  await json("queues", "create", "gpu", "--description", "big ones");
  const queues = await json("queues", "list");
  expect(queues.map(({ queue }: { queue: string }) => queue)).toEqual(["default", "gpu"]);
  expect((await remex("queues", "delete", "default")).exitCode).toBe(1);
  await json("queues", "delete", "gpu");
  expect((await remex("queues", "delete", "gpu")).exitCode).toBe(5);
});

test("R6: a token is shown once, listed without its value, and ends when it is revoked", async () => {
  const create = ["tokens", "create", "--name", "lab", "--expires", "30d", "--kind", "worker"];
  const made = await json(...create, "--queue", "default");
  expect(made.value).toMatch(/^rmx_[0-9A-Za-z]{8}_/);
  const list = await remex("tokens", "list", "-o", "json");
  expect(list.stdout).toContain('"name": "lab"');
  expect(list.stdout).not.toContain(made.value);
  expect((await remex(...create)).exitCode).toBe(1);
  expect((await json("tokens", "revoke", "lab")).revokedAt).toBeDefined();
  expect(await json("tokens", "list")).toEqual([]);
  expect(await json("tokens", "list", "--all")).toHaveLength(1);
});

test("SEC-W1: a key does what its role allows and no more", async () => {
  const file = join(plane.folder, "viewer.key");
  const create = ["keys", "create", "--name", "v", "--role", "viewer", "--expires", "7d"];
  const made = await json(...create, "--deployment", "default");
  await writeFile(file, made.value, { mode: 0o600 });
  const viewer = (...args: string[]) => remex(...args, "--key-file", file);
  expect((await viewer("tasks", "list")).exitCode).toBe(0);
  expect((await viewer("queues", "create", "q")).exitCode).toBe(4);
  expect((await viewer("tasks", "list", "--deployment", "other")).exitCode).toBe(5);
  await json("keys", "revoke", "v");
  const refused = await viewer("tasks", "list");
  expect(refused.exitCode).toBe(4);
  expect(refused.stderr).toMatch(/^error: the operator key was revoked/);
});

test("a task waits, runs on an agent, and its outcome, changes and log are seen", async () => {
  const token = await json("tokens", "create", "--name", "agent", "--expires", "never");
  const queued = await json("tasks", "submit", "--key", "first", "--", "echo", "one");
  expect(await json("tasks", "submit", "--key", "first", "--", "echo", "one")).toEqual({
    ...queued,
    existing: true,
  });
  const conflict = await remex("tasks", "submit", "--key", "first", "--", "echo", "two");
  expect(conflict.exitCode).toBe(1);
  expect((await remex("tasks", "submit", "--queue", "nope", "--", "ls")).exitCode).toBe(5);
  expect((await remex("tasks", "submit", "--slot-cost", "11", "--noop")).exitCode).toBe(1);
  const canceled = await json("tasks", "submit", "--noop");
  expect(await json("tasks", "cancel", canceled.task)).toMatchObject([
    { task: canceled.task, state: "TASK_STATE_CANCELED" },
  ]);

  const following = remex("tasks", "logs", queued.task, "--follow");
  agent = await startAgent({ target: plane.agentsTarget, token: token.value, name: "a1" });
  expect(await following).toMatchObject({ exitCode: 0, stdout: "one\n" });
  const task = await json("tasks", "get", queued.task);
  expect(task).toMatchObject({
    attempt: { agent: "a1" },
    spec: { command: { argv: ["echo", "one"] } },
  });

  const good = await remex(
    "tasks",
    "submit",
    "--wait",
    "--env",
    "A=b",
    "--",
    "sh",
    "-c",
    "echo $A",
  );
  expect(good.exitCode, good.stderr).toBe(0);
  expect(good.stdout).toMatch(/ succeeded +a1 /);
  const bad = await remex("tasks", "submit", "--wait", "--", "sh", "-c", "echo no >&2; exit 3");
  expect(bad.exitCode, bad.stderr).toBe(6);
  expect(bad.stdout).toContain("exit code 3");
  const failed = await json("tasks", "list", "--state", "failed");
  expect(failed).toHaveLength(1);
  expect((await remex("tasks", "logs", failed[0].task)).stdout).toBe("no\n");
});

test("R11: an agent is listed as healthy with its last heartbeat", async () => {
  await waitFor(
    async () => {
      const [found] = await json("agents", "list");
      return found?.health === "AGENT_HEALTH_HEALTHY";
    },
    { what: "a healthy agent" },
  );
  const shown = await remex("agents", "list");
  expect(shown.stdout).toMatch(/^a1 +worker +healthy +schedulable +\ds ago +0\/4 +0 +default/m);
  expect((await remex("agents", "get", "a1")).exitCode).toBe(0);
  expect((await remex("agents", "get", "a2")).exitCode).toBe(5);
});

test("status names every role, and the key that was used is nowhere in the output", async () => {
  const status = await remex("status");
  for (const role of ["registry", "scheduler", "health-monitor", "token", "gateway"]) {
    expect(status.stdout).toContain(role);
  }
  const key = (await readFile(plane.adminKeyFile, "utf8")).trim();
  expect(`${status.stdout}${status.stderr}`).not.toContain(key);
  expect(plane.output()).not.toContain(key);
});

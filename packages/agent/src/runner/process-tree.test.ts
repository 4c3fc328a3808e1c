// SPDX-License-Identifier: Apache-2.0
// Proves that an attempt's processes are found by their cookie, and nobody else's.

import { type ChildProcess, spawn } from "node:child_process";
import { afterEach, describe, expect, it } from "vitest";
import { until } from "../testing/until.ts";
import {
  type AttemptCookie,
  cookieVariables,
  findProcesses,
  markOf,
  runnerMark,
  signalProcess,
} from "./process-tree.ts";

describe("the processes of an attempt", () => {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
  });

  function start(cookie: AttemptCookie): number {
    const env = { PATH: "/usr/bin:/bin", ...cookieVariables(cookie) };
    const child = spawn("sleep", ["60"], { env, stdio: "ignore" });
    children.push(child);
    return child.pid ?? 0;
  }

  const mine: AttemptCookie = { runner: runnerMark("/state/mine"), task: "t_tree", attempt: "1.1" };

  // Two suites on one host once ended each other's task: same task, same attempt, other installation.
  it("PROTOCOL-G1: are those of the same task, attempt and state directory alone", async () => {
    const pid = start(mine);
    start({ ...mine, attempt: "1.10" });
    start({ ...mine, task: "t_tre" });
    start({ ...mine, runner: runnerMark("/state/other") });
    const found = await until("the process shows its environment", () => {
      const pids = findProcesses([mine]).get(markOf(mine));
      return pids?.includes(pid) ? pids : undefined;
    });
    expect(found).toEqual([pid]);
  });

  it("a process that is gone cannot be signalled, which is no error", async () => {
    const child = spawn("true", { stdio: "ignore" });
    const pid = child.pid ?? 0;
    await new Promise((resolve) => child.once("exit", resolve));
    expect(signalProcess(pid, "SIGTERM")).toBe(false);
  });
});

// SPDX-License-Identifier: Apache-2.0
// Nothing that a run started may outlive it, however the run ended.

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { waitFor } from "../../test/kit/wait.ts";
import { type ProgramSpec, Programs } from "./programs.ts";

let dir = "";
let programs: Programs;

beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), "remex-programs-"));
  programs = new Programs(dir);
});

afterEach(async () => {
  await programs.stop();
  rmSync(dir, { recursive: true });
});

function shell(name: string, script: string, stage = 0): ProgramSpec {
  return { name, command: "sh", args: ["-c", script], env: process.env, cwd: dir, stage };
}

function runs(pid: number): boolean {
  const state = spawnSync("ps", ["-o", "stat=", "-p", String(pid)])
    .stdout.toString()
    .trim();
  return state !== "" && !state.startsWith("Z");
}

/** The number that a program wrote to its log. */
function written(name: string): Promise<number> {
  const read = () =>
    Number(/\d+/.exec(readFileSync(programs.logFileOf(name), "utf8"))?.[0]) || undefined;
  return waitFor(read, { what: `the first number in the log of ${name}` });
}

test("a stopped program takes its children with it", async () => {
  await programs.start(shell("parent", "sleep 60 & echo $!; wait"));
  const child = await written("parent");
  await programs.stop();
  expect(runs(child)).toBe(false);
});

test("a stopped program takes what it started in groups of their own with it", async () => {
  const script = `
    const { spawn } = require("node:child_process");
    console.log(spawn("sleep", ["60"], { detached: true }).pid);
  `;
  const command = process.execPath;
  await programs.start({ ...shell("parent", ""), command, args: ["-e", script] });
  const child = await written("parent");
  await programs.stop();
  expect(runs(child)).toBe(false);
});

test("a runner whose agent is gone is ended by the next run", async () => {
  const place = `--state-dir ${path.join(dir, "agent")}`;
  const runner = spawn("sh", ["-c", `: ${place}; sleep 60; :`], { detached: true });
  await new Programs(dir).endLeftovers();
  expect(runs(runner.pid as number)).toBe(false);
});

test("programs of a later stage end first", async () => {
  const order = path.join(dir, "order");
  const script = (name: string) =>
    `trap 'echo ${name} >> ${order}; exit' TERM; echo $$; while :; do sleep 0.05; done`;
  await programs.start(shell("below", script("below"), 1));
  await programs.start(shell("above", script("above"), 2));
  await Promise.all([written("below"), written("above")]);
  await programs.stop();
  expect(readFileSync(order, "utf8")).toBe("above\nbelow\n");
});

test("what a killed run left behind is ended by the next one", async () => {
  await programs.start(shell("left", "sleep 60 & echo $!; wait"));
  const child = await written("left");
  await new Programs(dir).endLeftovers();
  await waitFor(() => !runs(child), { what: "the end of the left-over child" });
});

test("a program that ends by itself is reported with the end of its log", async () => {
  await programs.start(shell("broken", "echo the port is taken; exit 3"));
  await expect(programs.failure).rejects.toThrow(/broken ended \(exit 3\).*the port is taken/s);
});

test("a program that does not exist is reported", async () => {
  await programs.start({ ...shell("absent", ""), command: "remex-no-such-program" });
  await expect(programs.failure).rejects.toThrow("ENOENT");
});

test("a run that is stopping starts nothing more", async () => {
  await programs.stop();
  await expect(programs.start(shell("late", "true"))).rejects.toThrow("late was not started");
});

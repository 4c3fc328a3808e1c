// SPDX-License-Identifier: Apache-2.0
// Proves that every command explains itself: a description, its options in words, an example.

import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { createFakeWorld } from "./fake-world.ts";
import { createRunner } from "./gateway-call.ts";
import { createProgram } from "./program.ts";
import { runCommand } from "./run.ts";

const program = createProgram(createRunner(createFakeWorld(), () => undefined));

function pathOf(command: Command): string[] {
  return command.parent === null ? [] : [...pathOf(command.parent), command.name()];
}

function leavesOf(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf);
}

const leaves = leavesOf(program).filter((leaf) => leaf.name() !== "serve");
const named = leaves.map((leaf): [string, Command] => [pathOf(leaf).join(" "), leaf]);

test("the commands are these", () => {
  expect(named.map(([path]) => path)).toEqual([
    "deployments create",
    "deployments get",
    "deployments list",
    "deployments update",
    "queues create",
    "queues list",
    "queues delete",
    "tokens create",
    "tokens list",
    "tokens revoke",
    "keys create",
    "keys list",
    "keys revoke",
    "agents list",
    "agents get",
    "agents cordon",
    "agents uncordon",
    "agents drain",
    "agents delete",
    "agents restore",
    "agents gone",
    "agents brake list",
    "agents brake release",
    "agents brake extend",
    "groups list",
    "groups set",
    "tasks submit",
    "tasks list",
    "tasks get",
    "tasks explain",
    "tasks logs",
    "tasks events",
    "tasks cancel",
    "status",
    "version",
  ]);
});

describe.each(named)("%s", (path, leaf) => {
  test("has a help with description, options and an example", async () => {
    const world = createFakeWorld();
    expect(await runCommand([...path.split(" "), "--help"], world)).toBe(0);
    const help = world.stdout();
    expect(world.stderr()).toBe("");
    expect(help).toContain(`Usage: remex ${path}`);
    expect(help).toMatch(new RegExp(`Examples?:\n {2}.*remex ${path}`));
    expect(help).toContain("-o, --output <format>");
    expect(leaf.description()).not.toBe("");
    for (const option of leaf.options) expect(option.description, option.flags).not.toBe("");
  });
});

test("the whole's help names the exit codes", async () => {
  const world = createFakeWorld();
  expect(await runCommand(["--help"], world)).toBe(0);
  expect(world.stdout()).toContain("6 a task that was waited for did not succeed");
});

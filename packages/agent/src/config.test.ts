// SPDX-License-Identifier: Apache-2.0
// Proves how the agent's settings are read, which go together, and that --help names them all.

import { readConfig, Secret } from "@remex/runtime";
import { describe, expect, it } from "vitest";
import packageJson from "../package.json" with { type: "json" };
import {
  type AgentConfig,
  agentSettings,
  crossProblems,
  drainDeadlineOf,
  nameFromHost,
} from "./config.ts";
import { softwareVersion } from "./software-version.ts";

const program = { name: "remex-agent", description: "test" };
const needed = ["--url", "http://127.0.0.1:8701", "--name", "a1"];

function read(argv: string[], env: Record<string, string> = {}) {
  return readConfig(program, agentSettings, { argv: [...needed, ...argv], env });
}

function configOf(...argv: string[]): AgentConfig {
  const outcome = read(argv);
  if (outcome.kind !== "ready") throw new Error(JSON.stringify(outcome));
  return outcome.config;
}

const token = new Secret("rmx_test");

describe("the agent's settings", () => {
  it("need an address and a token, nothing else", () => {
    const config = configOf();
    expect(config).toMatchObject({
      kind: "worker",
      queues: ["default"],
      labels: {},
      slots: 4,
      group: "default",
      runtime: "process",
    });
    expect(crossProblems(config, token)).toEqual([]);
    expect(crossProblems(config, undefined)).toEqual([
      expect.stringContaining("there is no agent token: give --token-file"),
    ]);
  });

  it("come from the environment too", () => {
    const outcome = readConfig(program, agentSettings, {
      argv: [],
      env: { REMEX_REGISTRY_URL: "https://remex.example", REMEX_AGENT_NAME: "b", REMEX_SLOTS: "9" },
    });
    expect(outcome).toMatchObject({
      kind: "ready",
      config: { url: "https://remex.example", name: "b", slots: 9 },
    });
  });

  it.each([
    [["--url", "remex:1"], "is not http://host:port"],
    [["--url", "http://h:1/path"], "is not http://host:port"],
    [["--name", "x".repeat(64)], "is not valid: use 1 to 63"],
    [["--queues", "bad queue"], "queue name"],
    [["--queues", ","], "name at least one queue"],
    [["--labels", "novalue"], "is not key=value"],
    [["--slots", "0"], "is not a whole number from 1 to 100000"],
    [["--kind", "cook"], "known are worker, triggerer, dag-processor"],
    [["--runtime", "java"], "known are process, airflow"],
    [["--drain-deadline", "soon"], "is not a duration"],
  ])("refuse %j", (argv, problem) => {
    const outcome = read(argv);
    expect(outcome.kind).toBe("refused");
    if (outcome.kind === "refused") expect(outcome.problems.join("\n")).toContain(problem);
  });

  it.each([
    [["--kind", "dag-processor"], "use --runtime airflow"],
    [["--kind", "triggerer", "--runtime", "airflow"], "comes later"],
    [["--kind", "dag-processor", "--runtime", "airflow"], "comes later"],
    [["--runner-command", "x", "--runner-socket", "/s"], "either started or found"],
  ])("R1: %j do not go together", (argv, problem) => {
    expect(crossProblems(configOf(...argv), token).join("\n")).toContain(problem);
  });

  it("R1: a triggerer goes with the process runtime, which has the built-in triggers", () => {
    expect(crossProblems(configOf("--kind", "triggerer"), token)).toEqual([]);
  });

  it.each([
    ["worker", undefined, undefined],
    ["triggerer", undefined, 0],
    ["triggerer", 5_000, 5_000],
  ] as const)(
    "PROTOCOL-O2: a %s told to end gives what runs %s ms",
    (kind, drainDeadline, deadlineMs) => {
      const config = drainDeadline === undefined ? { kind } : { kind, drainDeadline };
      expect(drainDeadlineOf({ drainDeadline: undefined, ...config })).toBe(deadlineMs);
    },
  );

  it("do not take two tokens", () => {
    expect(crossProblems(configOf("--token-file", "/t"), token)).toHaveLength(1);
  });

  it("SEC-W6: take no token as an argument", () => {
    const outcome = read(["--agent-token", "rmx_x"]);
    expect(outcome.kind).toBe("refused");
  });

  it("are all in --help, with their variable", () => {
    const outcome = read(["--help"]);
    expect(outcome.kind).toBe("help");
    if (outcome.kind !== "help") return;
    for (const name of Object.keys(agentSettings)) {
      const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      expect(outcome.text).toContain(`--${flag}`);
    }
    expect(outcome.text.replace(/\s+/g, " ")).toContain("(env: REMEX_REGISTRY_URL)");
  });
});

describe("a name made of the host's", () => {
  it.each([
    ["Node-1.example.com", "node-1-example-com"],
    ["-x-", "x"],
    ["vm", "vm"],
  ])("%s is %s", (host, name) => {
    expect(nameFromHost(host)).toBe(name);
  });
});

it("the version told is the package's", () => {
  expect(softwareVersion).toBe(packageJson.version);
});

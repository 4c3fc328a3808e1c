// SPDX-License-Identifier: Apache-2.0
// Proves the order of sources, that all problems are told at once, and that --help is complete.

import { describe, expect, test } from "vitest";
import { z } from "zod";
import { readConfig } from "./config.ts";
import {
  durationSetting,
  integerSetting,
  listenAddressSetting,
  listSetting,
  logLevelSetting,
  pairsSetting,
  secretSetting,
  switchSetting,
} from "./setting-schemas.ts";

const settings = {
  gatewayListen: {
    help: "where people and programs call",
    argument: "host:port",
    schema: listenAddressSetting.prefault("127.0.0.1:8700"),
    shownDefault: "127.0.0.1:8700",
  },
  redisUrl: { help: "the store", argument: "url", schema: z.string() },
  slots: { help: "slots for work", argument: "n", schema: integerSetting(1, 100).default(4) },
  graceTime: { help: "time to end", argument: "time", schema: durationSetting.default(1_000) },
  queues: { help: "queues", argument: "names", schema: listSetting.default(["default"]) },
  labels: { help: "labels", argument: "k=v,...", schema: pairsSetting.default({}) },
  logLevel: { help: "how much to log", argument: "level", schema: logLevelSetting },
  verbose: { help: "say more", schema: switchSetting },
  token: {
    help: "token",
    argument: "value",
    schema: secretSetting.optional(),
    env: "REMEX_AGENT_TOKEN",
  },
} as const;

const program = { name: "remex", description: "test program" };

function read(
  argv: string[],
  env: Record<string, string> = {},
  files: Record<string, string> = {},
) {
  return readConfig(program, settings, {
    argv,
    env,
    readFile(path) {
      const text = files[path];
      if (text === undefined) throw new Error("no such file");
      return text;
    },
  });
}

function ready(...given: Parameters<typeof read>) {
  const outcome = read(...given);
  if (outcome.kind !== "ready") throw new Error(JSON.stringify(outcome));
  return outcome.config;
}

describe("configuration", () => {
  test("defaults fill what nobody gave", () => {
    expect(ready(["--redis-url", "redis://x"])).toEqual({
      gatewayListen: { host: "127.0.0.1", port: 8700 },
      redisUrl: "redis://x",
      slots: 4,
      graceTime: 1_000,
      queues: ["default"],
      labels: {},
      logLevel: "info",
      verbose: false,
      token: undefined,
    });
  });

  test("a flag goes before the environment, that before the file, that before the default", () => {
    const files = { "c.yaml": "redis-url: file\nslots: 7\nlog_level: debug\nqueues: [a, b]\n" };
    const env = { REMEX_CONFIG: "c.yaml", REMEX_REDIS_URL: "env", REMEX_SLOTS: "8" };
    const config = ready(["--slots", "9"], env, files);
    expect(config).toMatchObject({
      slots: 9,
      redisUrl: "env",
      logLevel: "debug",
      queues: ["a", "b"],
      graceTime: 1_000,
    });
    expect(ready(["--config", "c.yaml"], {}, files).redisUrl).toBe("file");
  });

  test("all problems are told at once, each with its source", () => {
    const outcome = read(
      ["--slots", "0", "--bogus", "--gateway-listen", "nowhere", "stray"],
      { REMEX_LOG_LEVEL: "loud", REMEX_GRACE_TIME: "soon", REMEX_CONFIG: "c.yaml" },
      { "c.yaml": "queus: x\nlabels: gpu\n" },
    );
    expect(outcome).toEqual({
      kind: "refused",
      problems: [
        "--bogus is not an option; see --help for those there are",
        '"stray" is one word too many',
        "c.yaml: queus is not a setting; see --help for those there are",
        '--gateway-listen: "nowhere" is not host:port, for example 127.0.0.1:8700',
        "--redis-url is missing: give it, or set REMEX_REDIS_URL",
        '--slots: "0" is not a whole number from 1 to 100',
        'REMEX_GRACE_TIME: "soon" is not a duration, for example 250ms, 10s, 5m or 2h',
        'c.yaml: labels: "gpu" is not key=value',
        'REMEX_LOG_LEVEL: "loud" is not a log level; known are trace, debug, info, warn, error, fatal, silent',
      ],
    });
  });

  test("a flag without its value, and a file that cannot be read, are problems", () => {
    const outcome = read(["--redis-url"], { REMEX_CONFIG: "missing.yaml" });
    expect(outcome.kind === "refused" && outcome.problems).toEqual([
      "option '--redis-url <url>' argument missing",
      "missing.yaml: no such file",
      "--redis-url is missing: give it, or set REMEX_REDIS_URL",
    ]);
  });

  test("an empty environment variable counts as none", () => {
    expect(ready(["--redis-url", "x"], { REMEX_SLOTS: "" }).slots).toBe(4);
  });

  test("kinds of settings read what people write", () => {
    const config = ready([
      "--redis-url=x",
      "--grace-time",
      "2m",
      "--queues",
      "a, b,,c",
      "--labels",
      "zone=eu,note=a=b",
      "--verbose",
    ]);
    expect(config).toMatchObject({
      graceTime: 120_000,
      queues: ["a", "b", "c"],
      labels: { zone: "eu", note: "a=b" },
      verbose: true,
    });
    expect(ready(["--redis-url=x"], { REMEX_VERBOSE: "no" }).verbose).toBe(false);
  });

  test("SEC-G1: a secret from the environment is a Secret at once", () => {
    const config = ready(["--redis-url=x"], { REMEX_AGENT_TOKEN: "hunter2\n" });
    expect(JSON.stringify(config)).not.toContain("hunter2");
    expect(config.token?.reveal()).toBe("hunter2");
  });

  test("--help names every setting with its flag, its variable and its default", () => {
    const outcome = read(["--help"]);
    if (outcome.kind !== "help") throw new Error("no help");
    const text = outcome.text.replace(/\s+/g, " ");
    expect(text).toContain(
      "--gateway-listen <host:port> where people and programs call (env: REMEX_GATEWAY_LISTEN; default: 127.0.0.1:8700)",
    );
    expect(text).toContain("--token <value> token (env: REMEX_AGENT_TOKEN)");
    expect(text).toContain("--config <file>");
    for (const name of ["--redis-url", "--slots", "--grace-time", "--queues", "--verbose"]) {
      expect(text).toContain(name);
    }
  });
});

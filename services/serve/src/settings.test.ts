// SPDX-License-Identifier: Apache-2.0
import { readConfig } from "@remex/runtime";
import { expect, test } from "vitest";
import { findServeProblems, recordsUrlOf, serveSettings, serviceKeyFileOf } from "./settings.ts";

const read = (argv: readonly string[], env: Record<string, string> = {}) =>
  readConfig({ name: "remex serve", description: "" }, serveSettings, { argv, env });

function ready(argv: readonly string[], env: Record<string, string> = {}) {
  const outcome = read(argv, env);
  if (outcome.kind !== "ready") throw new Error(JSON.stringify(outcome));
  return outcome.config;
}

test("without settings every role runs on loopback, with its files in one folder", () => {
  const config = ready([]);
  expect(config.roles).toEqual(["registry", "scheduler", "health-monitor", "token", "gateway"]);
  expect(config.gatewayListen).toEqual({ host: "127.0.0.1", port: 8700 });
  expect(recordsUrlOf(config)).toBe("sqlite:remex-data/records.sqlite");
  expect(serviceKeyFileOf(config)).toBe("remex-data/service.key");
  expect(findServeProblems(config)).toEqual([]);
});

test("all problems are told at once, each with its flag or variable", () => {
  const outcome = read(
    ["--roles", "token,janitor", "--redis-url", "localhost:6379", "--gateway-listen", "nowhere"],
    { REMEX_RECORDS: "postgres://db/remex", REMEX_LOG_LEVEL: "loud" },
  );
  expect(outcome).toMatchObject({ kind: "refused" });
  const problems = outcome.kind === "refused" ? outcome.problems : [];
  expect(problems).toHaveLength(5);
  const text = problems.join("\n");
  expect(text).toContain("--roles: janitor is no role; known are registry, scheduler");
  expect(text).toContain("--redis-url: must begin with redis://");
  expect(text).toContain("--gateway-listen:");
  expect(text).toContain("REMEX_RECORDS: the PostgreSQL engine comes in a later version");
  expect(text).toContain("REMEX_LOG_LEVEL:");
});

test("the help names every setting with its variable and default", () => {
  const outcome = read(["--help"]);
  const text = outcome.kind === "help" ? outcome.text : "";
  for (const flag of ["--roles", "--redis-url", "--records", "--data-dir", "--service-key-file"]) {
    expect(text).toContain(flag);
  }
  expect(text).toContain("REMEX_AGENTS_LISTEN");
});

test("SEC-S3: a service key is made only where no other host can need it", () => {
  const apart = ["--roles", "token", "--internal-listen", "0.0.0.0:8702"];
  expect(findServeProblems(ready(apart))[0]).toContain("--service-key-file is missing");
  expect(findServeProblems(ready([...apart, "--service-key-file", "/run/key"]))).toEqual([]);
  expect(findServeProblems(ready(["--roles", "token"]))).toEqual([]);
  expect(findServeProblems(ready(["--internal-listen", "0.0.0.0:8702"]))).toEqual([]);
});

test("two ports of one process must differ, unless one of them is not used", () => {
  const same = ["--gateway-listen", "127.0.0.1:9000", "--agents-listen", "127.0.0.1:9000"];
  expect(findServeProblems(ready(same))).toEqual([
    "--agents-listen and --gateway-listen name the same address",
  ]);
  expect(findServeProblems(ready([...same, "--roles", "gateway"]))).toEqual([]);
});

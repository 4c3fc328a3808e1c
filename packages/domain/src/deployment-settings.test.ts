// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import {
  type DeploymentSettings,
  decideSettingFailures,
  defaultDeploymentSettings,
} from "./deployment-settings.ts";
import { lostAfterNeverMs } from "./task.ts";

const codesOf = (change: Partial<DeploymentSettings>) =>
  decideSettingFailures({ ...defaultDeploymentSettings, ...change }).map((failure) => failure.code);

test("the defaults are allowed", () => {
  expect(codesOf({})).toEqual([]);
});

test("PROTOCOL-T4: durations that cannot work are refused with the arithmetic", () => {
  const [failure] = decideSettingFailures({ ...defaultDeploymentSettings, stopTimeMs: 7_500 });
  expect(failure?.code).toBe("durations_impossible");
  expect(failure?.message).toContain("20000 ms * 1.05 + stop time 7500 ms = 28500 ms");
  expect(codesOf({ stopTimeMs: 7_499 })).toEqual([]);
});

test("PROTOCOL-H1: lost_after is 0, a duration of at most 30 days, or never", () => {
  for (const lostAfterMs of [0, 300_000, 30 * 24 * 3_600_000, lostAfterNeverMs]) {
    expect(codesOf({ lostAfterMs })).toEqual([]);
  }
  for (const lostAfterMs of [-1, 30 * 24 * 3_600_000 + 1, Number.NaN]) {
    expect(codesOf({ lostAfterMs })).toEqual(["argument_invalid"]);
  }
});

test.each<[string, Partial<DeploymentSettings>]>([
  ["a heartbeat of less than a second", { heartbeatIntervalMs: 999 }],
  ["a heartbeat of more than a minute", { heartbeatIntervalMs: 60_001 }],
  ["a payload limit above one MiB", { maxPayloadBytes: 1_048_577 }],
  ["no agent token at all", { maxAgentTokens: 0 }],
  ["half a slot", { maxSlotCost: 0.5 }],
  ["an Airflow address with a password", { airflowApiUrl: "http://a:b@host" }],
  ["an Airflow address of another scheme", { airflowApiUrl: "file:///etc" }],
  ["an Airflow address with a query", { airflowApiUrl: "http://host/?a" }],
])("%s is refused with the setting named", (_what, change) => {
  const failures = decideSettingFailures({ ...defaultDeploymentSettings, ...change });
  expect(failures.map((failure) => failure.code)).toEqual(["argument_invalid"]);
});

test("an Airflow address may have a path", () => {
  expect(codesOf({ airflowApiUrl: "https://airflow.example/base" })).toEqual([]);
});

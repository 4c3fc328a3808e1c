// SPDX-License-Identifier: Apache-2.0
// What an operator can set on a deployment: the defaults and the bounds of each value.

import { type DurationSettings, decideDurations } from "./durations.ts";
import { type Failure, failureOf } from "./remex-error.ts";
import { longestLostAfterMs, lostAfterNeverMs } from "./task.ts";

/** What cut-off workers do with tasks that say nothing (PROTOCOL section 6). */
export type OnCutSetting = "CONTINUE" | "ABORT";

/** Settings of a deployment, all filled in. */
export interface DeploymentSettings {
  readonly heartbeatIntervalMs: number;
  readonly stopTimeMs: number;
  readonly confirmWindowMs: number;
  readonly onCut: OnCutSetting;
  /** How long work of a FAILED agent is held (H1); `lostAfterNeverMs` stands for never. */
  readonly lostAfterMs: number;
  /** Whether the brake (L4) holds back a fleet that falls silent at once. */
  readonly brake: boolean;
  readonly maxSlotCost: number;
  readonly maxPayloadBytes: number;
  readonly maxQueuedTasks: number;
  /** Base URL of the Airflow api-server; empty when there is none. */
  readonly airflowApiUrl: string;
  readonly taskRetentionMs: number;
  readonly maxEndedTasks: number;
  readonly maxAgentTokens: number;
}

/** What holds where an operator says nothing. */
export const defaultDeploymentSettings: DeploymentSettings = {
  heartbeatIntervalMs: 10_000,
  stopTimeMs: 6_000,
  confirmWindowMs: 15_000,
  onCut: "CONTINUE",
  lostAfterMs: 0,
  brake: true,
  maxSlotCost: 1_000,
  maxPayloadBytes: 262_144,
  maxQueuedTasks: 1_000_000,
  airflowApiUrl: "",
  taskRetentionMs: 24 * 3_600_000,
  maxEndedTasks: 100_000,
  maxAgentTokens: 50,
};

interface Bounds {
  readonly setting: string;
  readonly min: number;
  readonly max: number;
  readonly unit: string;
}

const bounds: Readonly<Partial<Record<keyof DeploymentSettings, Bounds>>> = {
  heartbeatIntervalMs: { setting: "heartbeat_interval", min: 1_000, max: 60_000, unit: " ms" },
  stopTimeMs: { setting: "stop_time", min: 100, max: 60_000, unit: " ms" },
  confirmWindowMs: { setting: "confirm_window", min: 500, max: 60_000, unit: " ms" },
  maxSlotCost: { setting: "max_slot_cost", min: 1, max: 1_000_000, unit: "" },
  maxPayloadBytes: { setting: "max_payload_bytes", min: 1_024, max: 1_048_576, unit: " bytes" },
  maxQueuedTasks: { setting: "max_queued_tasks", min: 1, max: 100_000_000, unit: "" },
  taskRetentionMs: {
    setting: "task_retention",
    min: 60_000,
    max: 365 * 24 * 3_600_000,
    unit: " ms",
  },
  maxEndedTasks: { setting: "max_ended_tasks", min: 1, max: 10_000_000, unit: "" },
  maxAgentTokens: { setting: "max_agent_tokens", min: 1, max: 100_000, unit: "" },
};

/** The settings as the durations' arithmetic takes them. */
export function durationSettingsOf(settings: DeploymentSettings): DurationSettings {
  return {
    heartbeatMs: settings.heartbeatIntervalMs,
    stopMs: settings.stopTimeMs,
    windowMs: settings.confirmWindowMs,
  };
}

/** Everything that is wrong with the settings, bounds first; the durations are judged together (T4). */
export function decideSettingFailures(settings: DeploymentSettings): Failure[] {
  const failures: Failure[] = [];
  for (const [name, bound] of Object.entries(bounds)) {
    const value = settings[name as keyof DeploymentSettings] as number;
    if (!Number.isSafeInteger(value) || value < bound.min || value > bound.max) {
      const problem = `it is ${value}${bound.unit} and must be from ${bound.min} to ${bound.max}${bound.unit}`;
      failures.push(failureOf("argument_invalid", { field: bound.setting, problem }));
    }
  }
  if (settings.airflowApiUrl !== "" && !isHttpBase(settings.airflowApiUrl)) {
    const problem =
      "it must be an http or https address without user, query or fragment, for example http://127.0.0.1:8080";
    failures.push(failureOf("argument_invalid", { field: "airflow_api_url", problem }));
  }
  const problem = lostAfterProblem(settings.lostAfterMs);
  if (problem !== undefined) {
    failures.push(failureOf("argument_invalid", { field: "lost_after", problem }));
  }
  if (failures.length === 0) {
    const durations = decideDurations(durationSettingsOf(settings));
    if (!durations.ok) failures.push(durations.failure);
  }
  return failures;
}

/** What is wrong with a `lost_after`; undefined when nothing is. */
export function lostAfterProblem(ms: number): string | undefined {
  if (ms === lostAfterNeverMs) return undefined;
  if (Number.isFinite(ms) && ms >= 0 && ms <= longestLostAfterMs) return undefined;
  return `it is ${ms} ms and must be from 0 to ${longestLostAfterMs} ms, or never (${lostAfterNeverMs / 1000} s)`;
}

function isHttpBase(text: string): boolean {
  const url = URL.parse(text);
  return (
    url !== null &&
    (url.protocol === "http:" || url.protocol === "https:") &&
    url.username === "" &&
    url.password === "" &&
    url.search === "" &&
    url.hash === ""
  );
}

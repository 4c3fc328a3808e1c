// SPDX-License-Identifier: Apache-2.0
// What an operator can set on a deployment: the defaults and the bounds of each value.

import { type DurationSettings, decideDurations } from "./durations.ts";

/** What cut-off workers do with tasks that say nothing (PROTOCOL section 6). */
export type OnCutSetting = "CONTINUE" | "ABORT";

/** Settings of a deployment, all filled in. */
export interface DeploymentSettings {
  readonly heartbeatIntervalMs: number;
  readonly stopTimeMs: number;
  readonly confirmWindowMs: number;
  readonly onCut: OnCutSetting;
  readonly lostAfterMs: number;
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

/** One setting that cannot be, with the sentence that says why and what would do. */
export interface SettingProblem {
  readonly setting: string;
  readonly message: string;
}

/** The settings as the durations' arithmetic takes them. */
export function durationSettingsOf(settings: DeploymentSettings): DurationSettings {
  return {
    heartbeatMs: settings.heartbeatIntervalMs,
    stopMs: settings.stopTimeMs,
    windowMs: settings.confirmWindowMs,
  };
}

/** Everything that is wrong with the settings, bounds first; the durations are judged together (T4). */
export function decideSettingProblems(settings: DeploymentSettings): SettingProblem[] {
  const problems: SettingProblem[] = [];
  for (const [name, bound] of Object.entries(bounds)) {
    const value = settings[name as keyof DeploymentSettings] as number;
    if (!Number.isSafeInteger(value) || value < bound.min || value > bound.max) {
      problems.push({
        setting: bound.setting,
        message: `${bound.setting} is ${value}${bound.unit}; it must be from ${bound.min} to ${bound.max}${bound.unit}`,
      });
    }
  }
  if (settings.lostAfterMs !== 0) {
    problems.push({
      setting: "lost_after",
      message: `lost_after is ${settings.lostAfterMs} ms; work of lost agents is not held yet, so only 0 is allowed`,
    });
  }
  if (settings.airflowApiUrl !== "" && !isHttpBase(settings.airflowApiUrl)) {
    problems.push({
      setting: "airflow_api_url",
      message:
        "airflow_api_url must be an http or https address without user, query or fragment, for example http://127.0.0.1:8080",
    });
  }
  if (problems.length === 0) {
    const durations = decideDurations(durationSettingsOf(settings));
    if (!durations.ok) {
      problems.push({ setting: "stop_time", message: durations.failure.message });
    }
  }
  return problems;
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

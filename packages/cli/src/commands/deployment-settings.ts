// SPDX-License-Identifier: Apache-2.0
// The settings of a deployment as options of the command line.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { DeploymentSettingsSchema, OnCut } from "@remex/client";
import type { Command } from "commander";
import { wordOption } from "../command-kit.ts";
import { parseBytes, parseCount, parseDurationMs, parseLostAfterMs } from "../duration-text.ts";
import { onCutWords, valueOfWord, wordsOf } from "../words.ts";

export interface SettingOptions {
  readonly displayName?: string;
  readonly heartbeat?: string;
  readonly stopTime?: string;
  readonly confirmWindow?: string;
  readonly onCut?: string;
  readonly lostAfter?: string;
  readonly brake?: string;
  readonly maxSlotCost?: string;
  readonly maxPayload?: string;
  readonly maxQueued?: string;
  readonly airflowApiUrl?: string;
  readonly retention?: string;
  readonly maxEnded?: string;
  readonly maxAgentTokens?: string;
}

export function addSettingOptions(command: Command): void {
  command
    .option("--display-name <text>", "name for people (default: the slug)")
    .option("--heartbeat <duration>", "how often agents beat, 1s to 60s (default: 10s)")
    .option("--stop-time <duration>", "time that stopping work may take (default: 6s)")
    .option("--confirm-window <duration>", "longest time from accept to start (default: 15s)")
    .addOption(
      wordOption(
        "--on-cut <what>",
        "what cut-off workers do with running tasks (default: continue)",
        wordsOf(onCutWords),
      ),
    )
    .option(
      "--lost-after <duration>",
      "how long work of a failed agent is held before it runs elsewhere; a cut shorter than this loses nothing. never: until you say that the agent is gone (default: 0s)",
    )
    .addOption(
      wordOption(
        "--brake <word>",
        "whether agents are held back as suspect when most fall silent at once (default: on)",
        ["on", "off"],
      ),
    )
    .option("--max-slot-cost <number>", "most slots that a task may cost (default: 1000)")
    .option("--max-payload <size>", "largest payload of a task (default: 256KiB, at most 1MiB)")
    .option("--max-queued <number>", "most queued tasks (default: 1000000)")
    .option(
      "--airflow-api-url <url>",
      "Airflow's api-server, for agents with the airflow runtime; none removes it",
    )
    .option("--retention <duration>", "how long ended tasks are kept (default: 24h)")
    .option("--max-ended <number>", "most ended tasks that are kept (default: 100000)")
    .option("--max-agent-tokens <number>", "most live agent tokens (default: 50)");
}

export interface ReadSettings {
  readonly displayName: string | undefined;
  readonly settings: MessageInitShape<typeof DeploymentSettingsSchema>;
  /** True when at least one was named. */
  readonly stated: boolean;
}

const most = 4_294_967_295;

export function readSettings(options: SettingOptions): ReadSettings {
  const duration = (text: string | undefined, flag: string) =>
    text === undefined ? undefined : durationFromMs(parseDurationMs(text, flag));
  const count = (text: string | undefined, flag: string) =>
    text === undefined ? undefined : parseCount(text, flag, 0, most);
  const { onCut, lostAfter, maxPayload, airflowApiUrl, displayName } = options;
  const wanted = {
    heartbeatInterval: duration(options.heartbeat, "--heartbeat"),
    stopTime: duration(options.stopTime, "--stop-time"),
    confirmWindow: duration(options.confirmWindow, "--confirm-window"),
    onCut: onCut === undefined ? undefined : valueOfWord<OnCut>(onCutWords, onCut),
    lostAfter:
      lostAfter === undefined
        ? undefined
        : durationFromMs(parseLostAfterMs(lostAfter, "--lost-after")),
    brake: options.brake === undefined ? undefined : options.brake === "on",
    maxSlotCost: count(options.maxSlotCost, "--max-slot-cost"),
    maxPayloadBytes: maxPayload === undefined ? undefined : parseBytes(maxPayload, "--max-payload"),
    maxQueuedTasks: count(options.maxQueued, "--max-queued"),
    airflowApiUrl: airflowApiUrl === "none" ? "" : airflowApiUrl,
    taskRetention: duration(options.retention, "--retention"),
    maxEndedTasks: count(options.maxEnded, "--max-ended"),
    maxAgentTokens: count(options.maxAgentTokens, "--max-agent-tokens"),
  };
  const named = Object.entries(wanted).filter(([, value]) => value !== undefined);
  return {
    displayName,
    settings: Object.fromEntries(named),
    stated: named.length > 0 || displayName !== undefined,
  };
}

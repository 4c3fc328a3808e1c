// SPDX-License-Identifier: Apache-2.0
// Converts between deployments as records, as the contract's messages and as projections.

import { create } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, durationMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type DeploymentSettings,
  decideDurations,
  durationSettingsOf,
  RemexError,
} from "@remex/domain";
import { OnCut } from "@remex/proto/common/v1";
import {
  type Deployment,
  DeploymentSchema,
  DeploymentSettingsSchema,
  type DeploymentSettings as SettingsMessage,
} from "@remex/proto/registry/v1";
import type { DeploymentProjectionRecord, DeploymentRecord } from "@remex/records";
import type { DeploymentConfig } from "@remex/store";

export function deploymentToMessage(record: DeploymentRecord): Deployment {
  const { settings } = record;
  return create(DeploymentSchema, {
    deployment: record.deployment,
    displayName: record.displayName === "" ? record.deployment : record.displayName,
    createdAt: timestampFromMs(record.createdAtMs),
    revision: BigInt(record.revision),
    settings: create(DeploymentSettingsSchema, {
      heartbeatInterval: durationFromMs(settings.heartbeatIntervalMs),
      stopTime: durationFromMs(settings.stopTimeMs),
      confirmWindow: durationFromMs(settings.confirmWindowMs),
      onCut: settings.onCut === "ABORT" ? OnCut.ABORT : OnCut.CONTINUE,
      lostAfter: durationFromMs(settings.lostAfterMs),
      brake: settings.brake,
      maxSlotCost: settings.maxSlotCost,
      maxPayloadBytes: settings.maxPayloadBytes,
      maxQueuedTasks: settings.maxQueuedTasks,
      ...(settings.airflowApiUrl === "" ? {} : { airflowApiUrl: settings.airflowApiUrl }),
      taskRetention: durationFromMs(settings.taskRetentionMs),
      maxEndedTasks: settings.maxEndedTasks,
      maxAgentTokens: settings.maxAgentTokens,
    }),
  });
}

/** The settings with what a request states put over them; what it leaves out stays. */
export function applySettings(
  settings: DeploymentSettings,
  message: SettingsMessage | undefined,
): DeploymentSettings {
  if (message === undefined) return settings;
  const ms = (duration: Duration | undefined, before: number): number =>
    duration === undefined ? before : durationMs(duration);
  return {
    heartbeatIntervalMs: ms(message.heartbeatInterval, settings.heartbeatIntervalMs),
    stopTimeMs: ms(message.stopTime, settings.stopTimeMs),
    confirmWindowMs: ms(message.confirmWindow, settings.confirmWindowMs),
    onCut: onCutFromMessage(message.onCut) ?? settings.onCut,
    lostAfterMs: ms(message.lostAfter, settings.lostAfterMs),
    brake: message.brake ?? settings.brake,
    maxSlotCost: message.maxSlotCost ?? settings.maxSlotCost,
    maxPayloadBytes: message.maxPayloadBytes ?? settings.maxPayloadBytes,
    maxQueuedTasks: message.maxQueuedTasks ?? settings.maxQueuedTasks,
    airflowApiUrl: message.airflowApiUrl ?? settings.airflowApiUrl,
    taskRetentionMs: ms(message.taskRetention, settings.taskRetentionMs),
    maxEndedTasks: message.maxEndedTasks ?? settings.maxEndedTasks,
    maxAgentTokens: message.maxAgentTokens ?? settings.maxAgentTokens,
  };
}

/** Undefined when it is not stated. */
export function onCutFromMessage(onCut: OnCut): DeploymentSettings["onCut"] | undefined {
  switch (onCut) {
    case OnCut.CONTINUE:
      return "CONTINUE";
    case OnCut.ABORT:
      return "ABORT";
    case OnCut.UNSPECIFIED:
      return undefined;
  }
}

/** What Redis is told of a deployment. */
export function configOf(record: DeploymentProjectionRecord): DeploymentConfig {
  const { settings } = record;
  const durations = decideDurations(durationSettingsOf(settings));
  if (!durations.ok) throw new RemexError(durations.failure);
  return {
    deployment: record.deployment,
    revision: record.projection,
    heartbeatMs: durations.value.heartbeatMs,
    stopMs: durations.value.stopMs,
    windowMs: durations.value.confirmWindowMs,
    leaseMs: durations.value.agentLeaseMs,
    limitMs: durations.value.serverLimitMs,
    intervalVersion: record.intervalVersion,
    onCut: settings.onCut,
    lostAfterMs: settings.lostAfterMs,
    brake: settings.brake ? "on" : "off",
    maxSlotCost: settings.maxSlotCost,
    maxPayloadBytes: settings.maxPayloadBytes,
    maxQueued: settings.maxQueuedTasks,
    retentionMs: settings.taskRetentionMs,
    maxEnded: settings.maxEndedTasks,
    airflowApiUrl: settings.airflowApiUrl,
    queues: record.queues,
    createdEpoch: String(record.createdEpoch),
  };
}

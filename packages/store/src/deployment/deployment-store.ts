// SPDX-License-Identifier: Apache-2.0
// The deployments' configuration in Redis: what dispatch needs of the records, never older than it was.

import { readFunctionLibrary } from "../core/function-library.ts";
import { channels, configKey, globalKeys } from "../core/keys.ts";
import { plainRead } from "../core/plain-read.ts";
import { defineFunction, type Store } from "../core/store.ts";

/** What is projected of a deployment; durations in ms. */
export interface DeploymentConfig {
  readonly deployment: string;
  /** Higher with every change of the records. */
  readonly revision: number;
  /** H. */
  readonly heartbeatMs: number;
  readonly stopMs: number;
  /** W. */
  readonly windowMs: number;
  /** AL. */
  readonly leaseMs: number;
  /** SL. */
  readonly limitMs: number;
  readonly intervalVersion: number;
  readonly onCut: "CONTINUE" | "ABORT";
  /** How long work of a FAILED agent is held (H1). */
  readonly lostAfterMs: number;
  /** Whether the brake holds back a fleet that falls silent at once (L4). */
  readonly brake: "on" | "off";
  readonly maxSlotCost: number;
  readonly maxPayloadBytes: number;
  readonly maxQueued: number;
  readonly retentionMs: number;
  readonly maxEnded: number;
  /** Empty when there is none. */
  readonly airflowApiUrl: string;
  readonly queues: readonly string[];
  /**
   * Epoch in which the deployment was made; "0" when it is not known. Made in a former one, it goes into
   * quarantine (D2). Absence means the epoch of the projection.
   */
  readonly createdEpoch?: string;
}

/** A configuration as it was read, with the epoch that it was projected in. */
export interface ProjectedDeployment extends DeploymentConfig {
  readonly epoch: string;
}

export type ProjectResult = "projected" | "current" | "epoch_stale";

export interface DeploymentStore {
  /**
   * Puts a configuration into effect; a lower revision than the one in effect changes nothing. With `epoch`
   * it does so in that epoch alone, in which what has to be there before it was made sure of (D2).
   */
  project(config: DeploymentConfig, epoch?: string): Promise<ProjectResult>;
  /** Undefined when the deployment is not projected. */
  load(deployment: string): Promise<ProjectedDeployment | undefined>;
  /** Slugs of the projected deployments, in no order. */
  list(): Promise<string[]>;
}

export const deploymentLibrary = readFunctionLibrary(
  "deployment",
  1,
  new URL("./functions/", import.meta.url),
);

const projectDeployment = defineFunction<DeploymentConfig, ProjectResult>({
  name: "project_deployment_v1",
  keys: ({ deployment }) => [configKey(deployment), globalKeys.epoch],
  args: (config, epoch) => [epoch, config.revision, JSON.stringify(toFields(config))],
  parse: (reply) => {
    const word = String(reply);
    switch (word) {
      case "projected":
      case "current":
      case "epoch_stale":
        return word;
      default:
        throw new Error(`project_deployment answered ${word}`);
    }
  },
});

export function createDeploymentStore(store: Store): DeploymentStore {
  return {
    project: async (config, epoch) => {
      if (epoch !== undefined && epoch !== store.epoch.current()) return "epoch_stale";
      const result = await store.call(projectDeployment, config);
      if (result === "epoch_stale") {
        return result;
      }
      // Another slot than the configuration's, so not inside the function; repeated with every sweep.
      const added = await store.redis.sadd(globalKeys.deployments, config.deployment);
      if (result === "projected" || added > 0) {
        const message = JSON.stringify({ deployment: config.deployment });
        await store.redis.publish(channels.config, message);
      }
      return result;
    },
    load: async (deployment) => {
      const fields = await plainRead("config", store.redis.hgetall(configKey(deployment)));
      return fields.revision === undefined ? undefined : fromFields(deployment, fields);
    },
    list: () => plainRead("deployments", store.redis.smembers(globalKeys.deployments)),
  };
}

function toFields(config: DeploymentConfig): Record<string, string> {
  const { deployment: _slug, revision: _revision, queues, ...plain } = config;
  const fields: Record<string, string> = { queues: JSON.stringify(queues) };
  for (const [name, value] of Object.entries(plain)) {
    fields[name] = String(value);
  }
  return fields;
}

function fromFields(deployment: string, fields: Record<string, string>): ProjectedDeployment {
  const number = (name: string): number => {
    const value = Number(fields[name]);
    if (!Number.isFinite(value)) {
      throw new Error(`the projected configuration of ${deployment} has no ${name}`);
    }
    return value;
  };
  return {
    deployment,
    epoch: fields.epoch ?? "",
    revision: number("revision"),
    heartbeatMs: number("heartbeatMs"),
    stopMs: number("stopMs"),
    windowMs: number("windowMs"),
    leaseMs: number("leaseMs"),
    limitMs: number("limitMs"),
    intervalVersion: number("intervalVersion"),
    onCut: fields.onCut === "ABORT" ? "ABORT" : "CONTINUE",
    lostAfterMs: number("lostAfterMs"),
    brake: fields.brake === "off" ? "off" : "on",
    maxSlotCost: number("maxSlotCost"),
    maxPayloadBytes: number("maxPayloadBytes"),
    maxQueued: number("maxQueued"),
    retentionMs: number("retentionMs"),
    maxEnded: number("maxEnded"),
    airflowApiUrl: fields.airflowApiUrl ?? "",
    queues: JSON.parse(fields.queues ?? "[]") as string[],
    ...(fields.createdEpoch === undefined ? {} : { createdEpoch: fields.createdEpoch }),
  };
}

// SPDX-License-Identifier: Apache-2.0
// The settings of the control plane, each documented for `--help`, and the checks across them.

import { join } from "node:path";
import { findRecordsUrlProblem } from "@remex/records";
import {
  type Config,
  durationSetting,
  flagOf,
  integerSetting,
  isLoopback,
  type ListenAddress,
  listenAddressSetting,
  listSetting,
  logLevelSetting,
  type Settings,
} from "@remex/runtime";
import { type ServiceRole, serviceRoles } from "@remex/transport";
import { z } from "zod";

const roleListSetting = listSetting.transform((names, context): ServiceRole[] => {
  const unknown = names.filter((name) => !serviceRoles.includes(name as ServiceRole));
  if (names.length > 0 && unknown.length === 0) {
    return serviceRoles.filter((role) => names.includes(role));
  }
  const which = unknown.length === 0 ? "no role is named" : `${unknown.join(", ")} is no role`;
  context.addIssue({ code: "custom", message: `${which}; known are ${serviceRoles.join(", ")}` });
  return z.NEVER;
});

const redisUrlSetting = z.string().refine((text) => /^(redis|rediss|unix):\/\//.test(text), {
  message: "must begin with redis://, rediss:// or unix://, for example redis://127.0.0.1:6379",
});

const recordsSetting = z.string().superRefine((text, context) => {
  const problem = findRecordsUrlProblem(text);
  if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
});

export const serveSettings = {
  roles: {
    help: "roles of this process, separated by commas",
    argument: "names",
    shownDefault: "all",
    schema: roleListSetting.prefault(serviceRoles.join(",")),
  },
  gatewayListen: {
    help: "where people and programs reach the gateway (Connect, gRPC and JSON on one port)",
    argument: "host:port",
    shownDefault: "127.0.0.1:8700",
    schema: listenAddressSetting.prefault("127.0.0.1:8700"),
  },
  agentsListen: {
    help: "where agents reach the registry (gRPC)",
    argument: "host:port",
    shownDefault: "127.0.0.1:8701",
    schema: listenAddressSetting.prefault("127.0.0.1:8701"),
  },
  internalListen: {
    help: "where the services of other processes reach this one",
    argument: "host:port",
    shownDefault: "127.0.0.1:8702",
    schema: listenAddressSetting.prefault("127.0.0.1:8702"),
  },
  internalAdvertise: {
    help: "host or host:port that other processes reach --internal-listen at, when it is another",
    argument: "host[:port]",
    schema: z.string().min(1, "must not be empty").optional(),
  },
  metricsListen: {
    help: "where /metrics, /healthz and /readyz are served",
    argument: "host:port",
    shownDefault: "127.0.0.1:8703",
    schema: listenAddressSetting.prefault("127.0.0.1:8703"),
  },
  redisUrl: {
    help: "the Redis that holds leases, sessions and tasks; version 7 or newer",
    argument: "url",
    shownDefault: "redis://127.0.0.1:6379",
    schema: redisUrlSetting.prefault("redis://127.0.0.1:6379"),
  },
  redisReplicas: {
    help: "replicas of Redis that must have a submit, confirm, result or cancel before it is acknowledged; 0 waits for none",
    argument: "number",
    shownDefault: "0",
    schema: integerSetting(0, 10).prefault(0),
  },
  redisReplicaTimeout: {
    help: "how long they may take; what they do not have by then is not acknowledged",
    argument: "duration",
    shownDefault: "1s",
    schema: durationSetting.prefault("1s"),
  },
  records: {
    help: "the records store: sqlite:<path>; shared by all processes of the installation",
    argument: "url",
    shownDefault: "sqlite:<data-dir>/records.sqlite",
    schema: recordsSetting.optional(),
  },
  dataDir: {
    help: "folder for the embedded records, the pepper, the service key and the first admin key",
    argument: "folder",
    shownDefault: "./remex-data",
    schema: z.string().min(1, "must not be empty").prefault("./remex-data"),
  },
  serviceKeyFile: {
    help: "file with the key that the services of the installation share",
    argument: "file",
    shownDefault: "<data-dir>/service.key, made when every service is reached on loopback",
    schema: z.string().min(1, "must not be empty").optional(),
  },
  connectsPerSecond: {
    help: "most agents that may connect to this process per second",
    argument: "number",
    shownDefault: "200",
    schema: integerSetting(1, 100_000).prefault(200),
  },
  logLevel: {
    help: "least level of log lines: trace, debug, info, warn, error, fatal or silent",
    argument: "level",
    shownDefault: "info",
    schema: logLevelSetting,
  },
} satisfies Settings;

export type ServeConfig = Config<typeof serveSettings>;

/** What is wrong with the settings together; empty when nothing is. */
export function findServeProblems(config: ServeConfig): string[] {
  const problems: string[] = [];
  if (config.serviceKeyFile === undefined && !mayMakeServiceKey(config)) {
    problems.push(
      `${flagOf("serviceKeyFile")} is missing: services of several hosts share one key; ` +
        "make it once and give the same file to each of them",
    );
  }
  const listens: (readonly [keyof ServeConfig & string, ListenAddress])[] = [
    ["gatewayListen", config.gatewayListen],
    ["agentsListen", config.agentsListen],
    ["internalListen", config.internalListen],
    ["metricsListen", config.metricsListen],
  ];
  const used = listens.filter(([name]) => isUsed(config, name));
  for (const [index, [name, address]] of used.entries()) {
    const twin = used
      .slice(0, index)
      .find(
        ([, other]) =>
          address.port !== 0 && other.port === address.port && other.host === address.host,
      );
    if (twin !== undefined) {
      problems.push(`${flagOf(name)} and ${flagOf(twin[0])} name the same address`);
    }
  }
  return problems;
}

function isUsed(config: ServeConfig, name: string): boolean {
  if (name === "gatewayListen") return config.roles.includes("gateway");
  if (name === "agentsListen") return config.roles.includes("registry");
  return true;
}

/** A key made here is enough when nobody on another host can or need reach the internal port. */
function mayMakeServiceKey(config: ServeConfig): boolean {
  return config.roles.length === serviceRoles.length || isLoopback(config.internalListen.host);
}

/** The records URL in force. */
export function recordsUrlOf(config: ServeConfig): string {
  return config.records ?? `sqlite:${join(config.dataDir, "records.sqlite")}`;
}

/** The service key's file in force. */
export function serviceKeyFileOf(config: ServeConfig): string {
  return config.serviceKeyFile ?? join(config.dataDir, "service.key");
}

// SPDX-License-Identifier: Apache-2.0
// The agent's settings: what they mean, how they are checked, and which of them go together.

import { hostname } from "node:os";
import { maxAgentLabels, parseAgentName, parseLabels, parseQueueName } from "@remex/domain";
import {
  type Config,
  durationSetting,
  integerSetting,
  listenAddressSetting,
  listSetting,
  logLevelSetting,
  pairsSetting,
  type Secret,
  type Setting,
} from "@remex/runtime";
import * as z from "zod";

const text = z.string().trim().min(1, "must not be empty");

function oneOf<const Word extends string>(words: readonly Word[]) {
  return z.string().transform((value, context) => {
    const known = words.find((word) => word === value);
    if (known !== undefined) return known;
    context.addIssue({
      code: "custom",
      message: `${JSON.stringify(value)} is not known; known are ${words.join(", ")}`,
    });
    return z.NEVER;
  });
}

/** The host's name as an agent's name, as far as its characters allow it. */
export function nameFromHost(host: string): string {
  return host
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .replace(/^-+/, "")
    .slice(0, 63)
    .replace(/-+$/, "");
}

const agentName = z
  .string()
  .prefault(() => nameFromHost(hostname()))
  .transform((value, context) => {
    const parsed = parseAgentName(value);
    if (parsed.ok) return parsed.value;
    context.addIssue({ code: "custom", message: parsed.failure.message });
    return z.NEVER;
  });

const registryUrl = z.string().transform((value, context) => {
  const url = URL.parse(value);
  const fits =
    url !== null &&
    (url.protocol === "http:" || url.protocol === "https:") &&
    (url.pathname === "/" || url.pathname === "") &&
    url.search === "";
  if (fits) return value;
  context.addIssue({
    code: "custom",
    message: `${JSON.stringify(value)} is not http://host:port or https://host:port`,
  });
  return z.NEVER;
});

const queues = listSetting.prefault("default").transform((names, context) => {
  for (const name of names) {
    const parsed = parseQueueName(name);
    if (!parsed.ok) context.addIssue({ code: "custom", message: parsed.failure.message });
  }
  if (names.length === 0) context.addIssue({ code: "custom", message: "name at least one queue" });
  if (names.length > 64) context.addIssue({ code: "custom", message: "name at most 64 queues" });
  return names;
});

const labels = pairsSetting.prefault({}).transform((pairs, context) => {
  const parsed = parseLabels(pairs, maxAgentLabels);
  if (!parsed.ok) context.addIssue({ code: "custom", message: parsed.failure.message });
  return pairs;
});

/** Every setting of `remex-agent`. */
export const agentSettings = {
  url: {
    help: "address of the control plane's agents' door, the only one that the agent connects to",
    argument: "url",
    schema: registryUrl,
    env: "REMEX_REGISTRY_URL",
  },
  tokenFile: {
    help: "file that holds the agent token, read again at each new session; or REMEX_AGENT_TOKEN holds the token itself, which tasks of the same user can read",
    argument: "file",
    schema: text.optional(),
  },
  name: {
    help: "name of the agent, unique in its deployment",
    argument: "name",
    schema: agentName,
    shownDefault: "the host's name",
    env: "REMEX_AGENT_NAME",
  },
  kind: {
    help: "what the agent does: worker, triggerer or dag-processor",
    argument: "kind",
    schema: oneOf(["worker", "triggerer", "dag-processor"]).prefault("worker"),
    shownDefault: "worker",
    env: "REMEX_AGENT_KIND",
  },
  queues: {
    help: "queues that it takes work from, separated by commas",
    argument: "names",
    schema: queues,
    shownDefault: "default",
  },
  labels: {
    help: "its capabilities as key=value, separated by commas; tasks may require them",
    argument: "pairs",
    schema: labels,
  },
  slots: {
    help: "how much work it takes at once: the sum of the slot costs of its tasks",
    argument: "number",
    schema: integerSetting(1, 100_000).prefault(4),
    shownDefault: "4",
  },
  group: {
    help: "worker group that it belongs to",
    argument: "name",
    schema: text.max(63, "has more than 63 characters").prefault("default"),
    shownDefault: "default",
  },
  runtime: {
    help: "what runs the work: process (commands, built in) or airflow",
    argument: "runtime",
    schema: oneOf(["process", "airflow"]).prefault("process"),
    shownDefault: "process",
  },
  runnerCommand: {
    help: "command that starts the runner, split at spaces; --state-dir is added",
    argument: "command",
    schema: text.optional(),
    shownDefault: "built in for process, `remex-airflow runner` for airflow",
  },
  runnerSocket: {
    help: "state directory's socket of a runner that somebody else starts (a sidecar), instead of starting one",
    argument: "path",
    schema: text.optional(),
  },
  stateDir: {
    help: "lock, journal, socket and logs; a directory of a local disk, of this agent alone",
    argument: "dir",
    schema: text.optional(),
    shownDefault: "~/.local/state/remex-agent/NAME",
  },
  caFile: {
    help: "certificates to trust instead of the system's, PEM",
    argument: "file",
    schema: text.optional(),
  },
  proxyUrl: {
    help: "HTTP proxy to connect through; without it the usual https_proxy and no_proxy count",
    argument: "url",
    schema: z.url("is not a URL").optional(),
  },
  healthListen: {
    help: "local port of /healthz, /readyz and /metrics",
    argument: "host:port",
    schema: listenAddressSetting.prefault("127.0.0.1:0"),
    shownDefault: "127.0.0.1 and a free port",
  },
  drainDeadline: {
    help: "after SIGTERM, how long running tasks may go on before they are stopped; absent: a worker's without end, a triggerer's are handed over at once",
    argument: "duration",
    schema: durationSetting.optional(),
  },
  logLevel: {
    help: "least level of log lines: trace, debug, info, warn, error or fatal",
    argument: "level",
    schema: logLevelSetting,
    shownDefault: "info",
  },
} as const satisfies Record<string, Setting>;

export type AgentConfig = Config<typeof agentSettings>;

/**
 * How long what runs may go on after SIGTERM. A trigger may wait for ever, and is taken over at no cost.
 */
export function drainDeadlineOf({
  kind,
  drainDeadline,
}: Pick<AgentConfig, "kind" | "drainDeadline">): number | undefined {
  return drainDeadline ?? (kind === "triggerer" ? 0 : undefined);
}

/** What single settings cannot say: which of them go together. */
export function crossProblems(config: AgentConfig, environmentToken: Secret | undefined): string[] {
  const problems: string[] = [];
  const { tokenFile, kind, runtime, runnerCommand, runnerSocket } = config;
  if (tokenFile === undefined && environmentToken === undefined) {
    problems.push(
      "there is no agent token: give --token-file (create one with `remex tokens create`), or set REMEX_AGENT_TOKEN",
    );
  }
  if (tokenFile !== undefined && environmentToken !== undefined) {
    problems.push("--token-file and REMEX_AGENT_TOKEN are both set: keep one of them");
  }
  if (runnerCommand !== undefined && runnerSocket !== undefined) {
    problems.push(
      "--runner-command and --runner-socket are both set: the runner is either started or found",
    );
  }
  const kindProblem = kindProblemOf(kind, runtime);
  if (kindProblem !== undefined) problems.push(kindProblem);
  return problems;
}

function kindProblemOf(
  kind: AgentConfig["kind"],
  runtime: AgentConfig["runtime"],
): string | undefined {
  if (kind === "worker") return undefined;
  if (kind === "dag-processor" && runtime === "process") {
    return "a dag-processor parses Airflow DAG files, which the process runtime cannot: use --runtime airflow";
  }
  if (kind === "triggerer" && runtime === "process") return undefined;
  return `--kind ${kind} with --runtime ${runtime} comes later: this version runs workers, and triggerers with --runtime process`;
}

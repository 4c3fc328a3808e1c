// SPDX-License-Identifier: Apache-2.0
// Judges an agent's hello: what it states against the contract, the deployment and its token's scope.

import { type AgentKindWord, agentKindOf, runtimesOfKind } from "./agent-kind.ts";
import {
  type AgentName,
  defaultGroup,
  type Parsed,
  parseAgentName,
  parseQueueName,
  quoted,
} from "./ids.ts";
import { type Labels, maxAgentLabels, parseLabels } from "./labels.ts";
import { type Failure, failureOf } from "./remex-error.ts";

/** The version of the agents' contract that is spoken here. */
export const agentProtocol = 1;

/** Most queues that an agent may listen on. */
export const maxAgentQueues = 64;
/** Most slots that an agent may have. */
export const maxAgentSlots = 100_000;
const instanceBytes = 16;
const mostRuntimes = 16;
const longestText = 256;

/** What an agent can do. */
export interface AgentCapabilities {
  readonly queues: readonly string[];
  readonly labels: Labels;
  readonly slots: number;
  readonly group: string;
  readonly runtimes: readonly string[];
  readonly runtimeVersions: Labels;
}

/** A hello as it came, before anything is believed. */
export interface StatedHello {
  readonly protocolMin: number;
  readonly protocolMax: number;
  readonly agent: string;
  readonly instance: Uint8Array;
  /** Number of the kind in the contract. */
  readonly kind: number;
  readonly capabilities: AgentCapabilities | undefined;
  readonly softwareVersion: string;
  readonly hostname: string;
  readonly inventoryEntries: number;
}

/** What the agent's token allows; an empty list allows all. */
export interface TokenScope {
  readonly kinds: readonly AgentKindWord[];
  readonly queues: readonly string[];
}

/** What a hello is judged against. */
export interface HelloContext {
  readonly deployment: string;
  /** Queues that the deployment has. */
  readonly queues: readonly string[];
  readonly scope: TokenScope;
}

/** A hello that stands. */
export interface AcceptedHello {
  readonly agent: AgentName;
  /** In lower-case hex. */
  readonly instance: string;
  readonly kind: AgentKindWord;
  /** Narrowed to the token's scope (SEC-E3). */
  readonly capabilities: AgentCapabilities;
  readonly softwareVersion: string;
  readonly hostname: string;
}

/** Accepts a hello, or says the first thing that is wrong with it and what to do. */
export function decideHello(hello: StatedHello, context: HelloContext): Parsed<AcceptedHello> {
  const version = protocolProblem(hello);
  if (version !== undefined) return { ok: false, failure: version };
  const agent = parseAgentName(hello.agent);
  if (!agent.ok) return agent;
  if (hello.instance.length !== instanceBytes) {
    return refuse("instance", `it has ${hello.instance.length} bytes, not ${instanceBytes}`);
  }
  const kind = agentKindOf(hello.kind);
  if (kind === undefined) {
    return { ok: false, failure: failureOf("kind_unknown", { kind: hello.kind }) };
  }
  const { kinds } = context.scope;
  if (kinds.length > 0 && !kinds.includes(kind)) return outOfScope(`kind ${kind}`, kinds);
  if (hello.capabilities === undefined) return refuse("capabilities", "it is missing");
  const capabilities = decideCapabilities(hello.capabilities, context);
  if (!capabilities.ok) return capabilities;
  const runtimes = runtimesOfKind(kind, capabilities.value.runtimes);
  const unfit = kindProblem(kind, hello.capabilities.runtimes);
  if (unfit !== undefined) return { ok: false, failure: unfit };
  const inventory = decideInventorySize(hello.inventoryEntries, capabilities.value.slots);
  if (inventory !== undefined) return { ok: false, failure: inventory };
  return {
    ok: true,
    value: {
      agent: agent.value,
      instance: hexOf(hello.instance),
      kind,
      // R1: shown and offered is what an agent of this kind does.
      capabilities: { ...capabilities.value, runtimes },
      softwareVersion: hello.softwareVersion.slice(0, longestText),
      hostname: hello.hostname.slice(0, longestText),
    },
  };
}

/** Judges stated capabilities and narrows their queues to the token's scope (SEC-E3). */
export function decideCapabilities(
  stated: AgentCapabilities,
  context: HelloContext,
): Parsed<AgentCapabilities> {
  const problem = capabilityProblem(stated);
  if (problem !== undefined) {
    return { ok: false, failure: failureOf("capabilities_invalid", { problem }) };
  }
  const labels = parseLabels(stated.labels, maxAgentLabels);
  if (!labels.ok) return labels;
  const versions = parseLabels(stated.runtimeVersions, maxAgentLabels);
  if (!versions.ok) return versions;
  for (const queue of stated.queues) {
    const name = parseQueueName(queue);
    if (!name.ok) return name;
    if (!context.queues.includes(queue)) {
      const { deployment } = context;
      return {
        ok: false,
        failure: failureOf("queue_unknown", { queue: quoted(queue), deployment }),
      };
    }
  }
  const allowed = context.scope.queues;
  const queues = [...new Set(stated.queues)].filter(
    (queue) => allowed.length === 0 || allowed.includes(queue),
  );
  if (queues.length === 0) return outOfScope(`queue ${stated.queues.join(", ")}`, allowed);
  return { ok: true, value: { ...stated, queues, group: stated.group || defaultGroup } };
}

/** R1: each kind has work of its own, so an agent whose runner has none of it would wait for ever. */
function kindProblem(kind: AgentKindWord, runtimes: readonly string[]): Failure | undefined {
  // A worker without any is let in and shown, so that `tasks explain` can name what it lacks.
  if (kind === "WORKER" || runtimesOfKind(kind, runtimes).length > 0) return undefined;
  const fix =
    kind === "TRIGGERER"
      ? "give it a runner with triggers: the process runner of this version has the built-in ones"
      : "parsing DAG files needs an airflow runner that has bundles";
  const has = runtimes.length === 0 ? "no runtime" : runtimes.join(", ");
  return failureOf("kind_unfit", { kind, runtimes: has, fix });
}

function protocolProblem(hello: StatedHello): Failure | undefined {
  const { protocolMin: min, protocolMax: max } = hello;
  if (min <= agentProtocol && agentProtocol <= max) return undefined;
  const fix =
    min > max
      ? "state a smallest version that is not greater than the greatest"
      : min > agentProtocol
        ? "upgrade the control plane, or use an older agent"
        : "upgrade the agent";
  return failureOf("protocol_version_unsupported", { min, max, supported: agentProtocol, fix });
}

function capabilityProblem(stated: AgentCapabilities): string | undefined {
  const { queues, slots, group, runtimes } = stated;
  if (queues.length === 0) return "it listens on no queue; name at least one";
  if (queues.length > maxAgentQueues) {
    return `it listens on ${queues.length} queues, at most ${maxAgentQueues} are allowed`;
  }
  if (!Number.isSafeInteger(slots) || slots < 1 || slots > maxAgentSlots) {
    return `it has ${slots} slots; state 1 to ${maxAgentSlots}`;
  }
  if (group !== "" && !parseQueueName(group).ok) return `group ${quoted(group)} is not a name`;
  if (runtimes.length > mostRuntimes) {
    return `it states ${runtimes.length} runtimes, at most ${mostRuntimes} are allowed`;
  }
  const odd = runtimes.find((runtime) => !/^[a-z][a-z0-9_]{0,62}$/.test(runtime));
  return odd === undefined ? undefined : `runtime ${quoted(odd)} is not a name`;
}

/** An inventory holds at most twice the slots, and ended attempts that wait (SEC-L2). */
export function decideInventorySize(entries: number, slots: number): Failure | undefined {
  const most = 2 * slots + endedInInventory;
  if (entries <= most) return undefined;
  const problem = `the inventory has ${entries} entries, at most ${most} are allowed`;
  return failureOf("frame_invalid", { problem });
}

const endedInInventory = 10_000;

function outOfScope(what: string, allowed: readonly string[]): Parsed<never> {
  return { ok: false, failure: failureOf("token_scope", { what, allowed: allowed.join(", ") }) };
}

function refuse(field: string, problem: string): Parsed<never> {
  return { ok: false, failure: failureOf("argument_invalid", { field, problem }) };
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

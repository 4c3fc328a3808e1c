// SPDX-License-Identifier: Apache-2.0
// The kinds of agents (requirement R1), and what of a runner's work each kind is given.

/** Kinds of agents in the order of their numbers in the contract; index 0 is "not stated". */
export const agentKinds = ["UNSPECIFIED", "WORKER", "TRIGGERER", "DAG_PROCESSOR"] as const;
export type AgentKindWord = Exclude<(typeof agentKinds)[number], "UNSPECIFIED">;

/** The kind of a number of the contract; undefined when it is not stated or not known. */
export function agentKindOf(number: number): AgentKindWord | undefined {
  const kind = agentKinds[number];
  return kind === "UNSPECIFIED" ? undefined : kind;
}

const triggerPrefix = "trigger_";
const bundleRuntime = "bundle";

/** The runtime of the triggers that every `process` runner has. */
export const builtinTriggers = "builtin";

/** What a trigger of this runtime needs of a runner, as agents state it and lanes name it. */
export function triggerRuntime(runtime: string): string {
  return `${triggerPrefix}${runtime}`;
}

/** What an agent of this kind may be given, of what its runner has: each kind has work of its own. */
export function runtimesOfKind(kind: AgentKindWord, runtimes: readonly string[]): string[] {
  return runtimes.filter((runtime) => kindOfRuntime(runtime) === kind);
}

/** The kind of agent that does work of this runtime. */
export function kindOfRuntime(runtime: string): AgentKindWord {
  if (runtime.startsWith(triggerPrefix)) return "TRIGGERER";
  return runtime === bundleRuntime ? "DAG_PROCESSOR" : "WORKER";
}

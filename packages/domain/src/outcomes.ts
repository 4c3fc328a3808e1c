// SPDX-License-Identifier: Apache-2.0
// How attempts end: the words of the contract's OutcomeKind and OutcomeReason, without their prefixes.

/** Kinds in the order of their numbers in the contract; index 0 is "not stated". */
export const outcomeKinds = [
  "UNSPECIFIED",
  "SUCCEEDED",
  "FAILED",
  "CANCELED",
  "ABORTED",
  "DUPLICATE_START",
] as const;
export type OutcomeKind = Exclude<(typeof outcomeKinds)[number], "UNSPECIFIED">;

/** Reasons in the order of their numbers in the contract. */
export const outcomeReasons = [
  "UNSPECIFIED",
  "EXIT_CODE",
  "SIGNAL",
  "TIMEOUT",
  "START_FAILED",
  "CANCELED",
  "DRAINED",
  "LEASE_ENDED",
  "KILLED",
  "RUNNER_LOST",
  "AGENT_LOST",
  "AGENT_RESTARTED",
  "RECOVERIES_EXHAUSTED",
  "OUT_OF_MEMORY",
  "RUNTIME_ERROR",
] as const;
export type OutcomeReason = (typeof outcomeReasons)[number];

/** Reasons that only the control plane may set; what an agent reports with one is taken as FAILED. */
export const controlPlaneReasons: ReadonlySet<OutcomeReason> = new Set([
  "AGENT_LOST",
  "AGENT_RESTARTED",
  "RECOVERIES_EXHAUSTED",
]);

/** The kind of a number of the contract; undefined when it is not stated or not known. */
export function outcomeKindOf(number: number): OutcomeKind | undefined {
  const kind = outcomeKinds[number];
  return kind === "UNSPECIFIED" ? undefined : kind;
}

/** The reason of a number of the contract; one that is not known is shown as UNSPECIFIED. */
export function outcomeReasonOf(number: number): OutcomeReason {
  return outcomeReasons[number] ?? "UNSPECIFIED";
}

/** The name that the contract's enum has, for digests: "OUTCOME_KIND_SUCCEEDED". */
export function outcomeKindName(number: number): string {
  return `OUTCOME_KIND_${outcomeKinds[number] ?? number}`;
}

/** The name that the contract's enum has, for digests: "OUTCOME_REASON_EXIT_CODE". */
export function outcomeReasonName(number: number): string {
  return `OUTCOME_REASON_${outcomeReasons[number] ?? number}`;
}

/** The stable word shown to people and programs: the reason in lower case. Empty when none. */
export function reasonWord(reason: OutcomeReason): string {
  return reason === "UNSPECIFIED" ? "" : reason.toLowerCase();
}

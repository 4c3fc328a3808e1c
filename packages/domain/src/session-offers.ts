// SPDX-License-Identifier: Apache-2.0
// Decides whether an agent may get offers, from everything that can forbid them (I6).

/** Whether an agent may get work, as recorded. */
export const availabilities = [
  "UNSPECIFIED",
  "SCHEDULABLE",
  "CORDONED",
  "DRAINING",
  "DELETED",
] as const;
export type Availability = Exclude<(typeof availabilities)[number], "UNSPECIFIED">;

/** What a monitor thinks of an agent, in the order of the numbers in the contract. */
export const agentHealths = [
  "UNSPECIFIED",
  "REGISTERED",
  "HEALTHY",
  "DEGRADED",
  "SUSPECT",
  "FAILED",
  "LEFT",
] as const;
export type AgentHealthWord = Exclude<(typeof agentHealths)[number], "UNSPECIFIED">;

/** What decides about offers. */
export interface OfferFacts {
  readonly health: AgentHealthWord;
  /** Why the health is what it is; empty when there is nothing to say. */
  readonly healthReason: string;
  readonly availability: Availability;
  /** True once the agent said that it drains itself. */
  readonly draining: boolean;
  /** True once the session is ENDING or ENDED. */
  readonly ending: boolean;
}

/** The answer; the reason is a stable word. */
export type OfferDecision =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly reason: string };

/** Only a healthy, schedulable agent of an open session that does not drain gets offers. */
export function decideOffers(facts: OfferFacts): OfferDecision {
  if (facts.ending) return { allowed: false, reason: "session_ending" };
  if (facts.availability !== "SCHEDULABLE") {
    return { allowed: false, reason: facts.availability.toLowerCase() };
  }
  if (facts.draining) return { allowed: false, reason: "draining" };
  if (facts.health === "HEALTHY") return { allowed: true };
  return { allowed: false, reason: facts.healthReason || facts.health.toLowerCase() };
}

/** True when both say the same. */
export function sameOfferDecision(left: OfferDecision, right: OfferDecision): boolean {
  if (left.allowed || right.allowed) return left.allowed === right.allowed;
  return left.reason === right.reason;
}

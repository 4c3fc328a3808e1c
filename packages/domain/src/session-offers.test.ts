// SPDX-License-Identifier: Apache-2.0
// Proves that offers go only to agents that nothing forbids them.
import { describe, expect, it } from "vitest";
import { decideOffers, type OfferFacts, sameOfferDecision } from "./session-offers.ts";

const healthy: OfferFacts = {
  health: "HEALTHY",
  healthReason: "",
  availability: "SCHEDULABLE",
  draining: false,
  ending: false,
};

describe("whether an agent may get offers", () => {
  it("PROTOCOL-I6: a healthy, schedulable agent may", () => {
    expect(decideOffers(healthy)).toEqual({ allowed: true });
  });

  it.each([
    [{ health: "REGISTERED" }, "registered"],
    [{ health: "DEGRADED", healthReason: "loop_stalled" }, "loop_stalled"],
    [{ health: "DEGRADED" }, "degraded"],
    [{ health: "SUSPECT" }, "suspect"],
    [{ health: "FAILED", healthReason: "lease_expired" }, "lease_expired"],
    [{ health: "LEFT" }, "left"],
    [{ availability: "CORDONED" }, "cordoned"],
    [{ availability: "DRAINING" }, "draining"],
    [{ availability: "DELETED" }, "deleted"],
    [{ draining: true }, "draining"],
    [{ ending: true }, "session_ending"],
  ] as const)("PROTOCOL-I6: %o gets none, reason %s", (change, reason) => {
    expect(decideOffers({ ...healthy, ...change })).toEqual({ allowed: false, reason });
  });

  it("tells decisions apart by their reason", () => {
    const cordoned = { allowed: false, reason: "cordoned" } as const;
    expect(sameOfferDecision({ allowed: true }, { allowed: true })).toBe(true);
    expect(sameOfferDecision({ allowed: true }, cordoned)).toBe(false);
    expect(sameOfferDecision(cordoned, { allowed: false, reason: "draining" })).toBe(false);
  });
});

// SPDX-License-Identifier: Apache-2.0
import { laneText } from "@remex/domain";
import type { Claimed } from "@remex/store";
import { beforeEach, describe, expect, test } from "vitest";
import { type AttachedAgent, AttachedAgents, type ClaimPlan } from "./attached-agents.ts";

const lane = laneText({ queue: "default", runtime: "noop", requiredLabels: {} });
const nothing: Claimed = { kind: "claimed", offers: [], empty: [], full: [], unfit: [] };
const most = 500;

describe("who is worth a claim", () => {
  let agents: AttachedAgents;
  let one: AttachedAgent;
  beforeEach(() => {
    agents = new AttachedAgents();
    one = attach("a1");
    agents.wake([lane]);
  });

  function attach(name: string): AttachedAgent {
    const attached = agents.attach(
      name,
      "1.1",
      { kind: "WORKER", queues: ["default"], runtimes: ["noop"], labels: {}, slots: 10 },
      true,
    );
    attached.inventoried = true;
    return attached;
  }
  const named = (plan: ClaimPlan | undefined) => plan?.candidates.map(({ agent }) => agent).sort();
  const plan = (nowMs = 0): ClaimPlan => {
    const found = agents.planClaim(nowMs);
    if (found === undefined) throw new Error("nobody is worth a claim");
    return found;
  };

  test("an agent that fits a waiting lane, and nobody where nothing waits", () => {
    expect(named(agents.planClaim(0))).toEqual(["a1"]);
    agents.noteClaimed(plan(), { ...nothing, empty: [lane] }, most, 0);
    expect(agents.planClaim(0)).toBeUndefined();
  });

  test("PROTOCOL-H3: not one with kills that are not answered, nor one without an answered inventory", () => {
    one.kills.add("t_1 1.1");
    expect(agents.planClaim(0)).toBeUndefined();
    one.kills.clear();
    one.inventoried = false;
    expect(agents.planClaim(0)).toBeUndefined();
  });

  test("PROTOCOL-I6: not one whose registry does not allow offers", () => {
    one.offersAllowed = false;
    expect(agents.planClaim(0)).toBeUndefined();
  });

  test("a wake-up that comes while a claim is under way is not lost", () => {
    const sent = plan();
    agents.wake([lane]);
    agents.noteClaimed(sent, { ...nothing, empty: [lane] }, most, 0);
    expect(named(agents.planClaim(0))).toEqual(["a1"]);
  });

  test("an agent that the store found unfit rests for a while", () => {
    const sent = plan();
    const [candidate] = sent.candidates;
    if (candidate === undefined) throw new Error("no candidate");
    const unfit = [{ candidate, why: "not_healthy" }];
    agents.noteClaimed(sent, { ...nothing, empty: [], unfit }, most, 500);
    agents.refresh([lane]);
    expect(agents.planClaim(499)).toBeUndefined();
    expect(named(agents.planClaim(500))).toEqual(["a1"]);
  });

  test("a full agent is refilled when half of its slots are free, or when the wait is over", () => {
    const sent = plan();
    agents.noteClaimed(sent, { ...nothing, full: sent.candidates }, most, 0);
    expect(agents.free(one, 4)).toBe(false);
    expect(agents.planClaim(0)).toBeUndefined();
    expect(agents.free(one, 1)).toBe(true);
    expect(named(agents.planClaim(0))).toEqual(["a1"]);
    agents.noteClaimed(plan(), { ...nothing, full: sent.candidates }, most, 0);
    expect(agents.refill()).toBe(false);
    agents.free(one, 1);
    expect(agents.refill()).toBe(true);
    expect(named(agents.planClaim(0))).toEqual(["a1"]);
  });

  test("an agent that was not full is offered the next task at once", () => {
    expect(agents.free(one, 1)).toBe(true);
  });

  test("another agent is first each time", () => {
    attach("a2");
    const firsts = [plan(), plan()].map(({ candidates }) => candidates[0]?.agent);
    expect(new Set(firsts)).toEqual(new Set(["a1", "a2"]));
  });

  test("PROTOCOL-T6: a session that was replaced is not meant by late words about the old one", () => {
    const newer = agents.attach("a1", "1.2", one.abilities, true);
    expect(agents.in("a1", "1.1")).toBeUndefined();
    expect(agents.detach("a1", "1.1")).toBe(false);
    expect(agents.get("a1")).toBe(newer);
  });
});

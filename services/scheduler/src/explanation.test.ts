// SPDX-License-Identifier: Apache-2.0
import { laneText } from "@remex/domain";
import type { TaskStanding } from "@remex/store";
import { describe, expect, test } from "vitest";
import { type AgentStanding, explainTask } from "./explanation.ts";

const agent = (name: string, fields: Partial<AgentStanding> = {}): AgentStanding => ({
  agent: name,
  state: "OPEN",
  reason: "",
  kind: "WORKER",
  queues: ["gpu"],
  labels: { zone: "eu" },
  slots: 4,
  runtimes: ["command", "noop"],
  availability: "SCHEDULABLE",
  controlNote: "",
  health: "HEALTHY",
  healthReason: "",
  ...fields,
});

const lane = laneText({ queue: "gpu", runtime: "command", requiredLabels: { zone: "eu" } });

const standing = (
  row: Partial<TaskStanding["row"]> = {},
  fields: Partial<TaskStanding> = {},
): TaskStanding => ({
  kind: "standing",
  nowMs: 100_000,
  row: { state: "QUEUED", lane, agent: "", reason: "", stage: "", ...row } as TaskStanding["row"],
  slotCost: 1,
  ahead: 0,
  refusals: [],
  quarantine: false,
  slots: new Map(),
  ...fields,
});

const codes = (state: TaskStanding, agents: readonly AgentStanding[]) =>
  explainTask(state, agents).map(({ code }) => code);
const first = (state: TaskStanding, agents: readonly AgentStanding[]) =>
  explainTask(state, agents)[0];

describe("PROTOCOL-S8: why a task waits", () => {
  test.each<[string, AgentStanding[], string, string]>([
    ["no agent at all", [], "no_agent_on_queue", "no living agent listens on queue gpu: start one"],
    [
      "only one that failed",
      [agent("a1", { state: "ENDED", health: "FAILED", reason: "lease_expired" })],
      "no_agent_on_queue",
      "a1 did and failed (lease_expired)",
    ],
    [
      "another queue",
      [agent("a1", { queues: ["default"] })],
      "no_agent_on_queue",
      "listens on queue gpu",
    ],
    [
      "another runtime",
      [agent("a1", { runtimes: ["noop"] })],
      "no_agent_with_runtime",
      "no agent on queue gpu runs command work",
    ],
    [
      "a triggerer, whatever its runner has",
      [agent("a1", { kind: "TRIGGERER" })],
      "no_agent_with_runtime",
      "runs command work",
    ],
    [
      "other labels",
      [agent("a1", { labels: { zone: "us" } })],
      "no_agent_with_labels",
      "has the label zone=eu",
    ],
    ["a cordon", [agent("a1", { availability: "CORDONED" })], "cordoned", "a1 is cordoned"],
    [
      "a cordon with its note",
      [agent("a1", { availability: "CORDONED", controlNote: "disk" })],
      "cordoned",
      "a1 is cordoned (disk)",
    ],
    ["a drain", [agent("a1", { availability: "DRAINING" })], "draining", "a1 is draining"],
    [
      "a degraded agent",
      [agent("a1", { health: "DEGRADED", healthReason: "loop_stalled" })],
      "degraded",
      "a1 is degraded (loop_stalled)",
    ],
    [
      "agents under the brake",
      [agent("a1", { health: "SUSPECT" }), agent("a2", { health: "SUSPECT" })],
      "suspect",
      "a1, a2 have fallen silent together",
    ],
    [
      "a session that ends",
      [agent("a1", { state: "ENDING", reason: "token_revoked" })],
      "session_ending",
      "the session of a1 is ending (token_revoked)",
    ],
    ["room", [agent("a1")], "free", "a1 has room: it is offered within a moment"],
  ])("%s", (_, agents, code, text) => {
    expect(first(standing(), agents)?.code).toBe(code);
    expect(first(standing(), agents)?.text).toContain(text);
  });

  test("every agent full, and one that lacks only some slots", () => {
    const slots = new Map([
      ["a1", 4],
      ["a2", 2],
    ]);
    const full = standing({}, { slots });
    expect(first(full, [agent("a1")])).toMatchObject({ code: "full", agents: ["a1"] });
    const large = standing({}, { slots, slotCost: 3 });
    expect(codes(large, [agent("a1"), agent("a2")])).toEqual(["full", "waits_for_larger_slot"]);
    expect(explainTask(large, [agent("a2")])[0]?.text).toContain(
      "it waits for 3 free slots at once; a2 has at most 2",
    );
  });

  test("a slot cost that no agent has", () => {
    const explained = first(standing({}, { slotCost: 9 }), [
      agent("a1"),
      agent("a2", { slots: 8 }),
    ]);
    expect(explained).toMatchObject({ code: "too_large" });
    expect(explained?.text).toContain(
      "needs 9 slots at once, and the largest agent that fits has 8",
    );
  });

  test("in a quarantine no agent is promised to be offered it within a moment", () => {
    expect(codes(standing({}, { quarantine: true }), [agent("a1")])).toEqual(["quarantine"]);
    expect(codes(standing({}), [agent("a1")])).toEqual(["free"]);
  });

  test("what is ahead of it, a quarantine, and who handed it back are told beside", () => {
    const refusals = [
      { atMs: 88_000, agent: "a1", reason: "cannot_run", message: "no module x" },
      { atMs: 50_000, agent: "a2", reason: "no_slots", message: "" },
    ];
    const state = standing({}, { ahead: 2, quarantine: true, refusals });
    const explained = explainTask(state, [agent("a1")]);
    expect(explained.map(({ code }) => code)).toEqual([
      "quarantine",
      "ahead",
      "declined_cannot_run",
      "declined_no_slots",
    ]);
    expect(explained[2]?.text).toBe(
      "agent a1 handed it back 12 s ago: its runner cannot run this work (no module x)",
    );
  });

  test("many agents are counted, not listed", () => {
    const many = Array.from({ length: 8 }, (_, at) =>
      agent(`a${at}`, { availability: "CORDONED" }),
    );
    expect(first(standing(), many)?.text).toContain("a0, a1, a2, a3, a4 and 3 more are cordoned");
    expect(first(standing(), many)?.agents).toHaveLength(5);
  });

  test("a task that does not wait is explained too", () => {
    const held = { state: "HELD" as const, agent: "a1", heldReason: "lease_expired" };
    expect(first(standing({ ...held, heldUntilMs: 130_000 }), [])?.text).toContain("30 s more");
    expect(first(standing({ ...held, heldUntilMs: Number.POSITIVE_INFINITY }), [])?.text).toContain(
      "until the agent comes back or an operator says that it is gone",
    );
    const on = (fields: Partial<TaskStanding["row"]>) =>
      codes(standing({ state: "ASSIGNED", agent: "a1", ...fields }), []);
    expect(on({ stage: "OFFERED" })).toEqual(["offered"]);
    expect(on({ stage: "CONFIRMED" })).toEqual(["starting"]);
    expect(on({ stage: "STARTED" })).toEqual(["running"]);
    expect(on({ stage: "STARTED", cancelWished: true })).toEqual(["canceling"]);
    expect(codes(standing({ state: "FAILED", reason: "exit_code" }), [])).toEqual(["ended"]);
  });
});

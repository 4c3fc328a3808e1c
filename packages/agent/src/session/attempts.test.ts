// SPDX-License-Identifier: Apache-2.0
// Proves the life of an attempt on the agent (PROTOCOL sections 4 and 7).

import { DeclineReason, InventoryVerdict, ReportVerdict } from "@remex/proto/agent/v1";
import { describe, expect, it } from "vitest";
import { only, Rig, said, saidOf } from "../testing/machine-rig.ts";

function reasonOf(effects: Parameters<typeof saidOf>[0]) {
  return saidOf(effects, "decline")?.reason;
}

describe("an offer", () => {
  it("PROTOCOL-S2: is accepted with the next number of the sequence that beats share, and reserves slots", () => {
    const rig = new Rig().online();
    const before = rig.state.session?.sequence ?? 0;
    const effects = rig.offer("t_a");
    expect(saidOf(effects, "accept")?.sequence).toBe(BigInt(before + 1));
    expect(rig.state.slotsUsed).toBe(1);
    const [beat] = only(rig.wait(10_000), "beat");
    expect(beat?.beat.sequence).toBe(BigInt(before + 2));
  });

  it("PROTOCOL-S1: of an attempt not higher than the highest seen is ignored", () => {
    const rig = new Rig().online();
    rig.offer("t_a", 5);
    expect(rig.offer("t_a", 5)).toEqual([]);
    expect(rig.offer("t_a", 4)).toEqual([]);
    expect(said(rig.offer("t_a", 6))).toEqual(["accept"]);
  });

  it("PROTOCOL-I19: that costs more slots than are free is declined", () => {
    const rig = new Rig(2).online();
    rig.offer("t_a");
    expect(reasonOf(rig.offer("t_b", 1, 2))).toBe(DeclineReason.NO_SLOTS);
    expect(said(rig.offer("t_c", 1, 1))).toEqual(["accept"]);
  });

  it("PROTOCOL-G4: is declined while the runner is gone or starts", () => {
    const rig = new Rig().online();
    rig.take({ kind: "runnerReady", ready: false });
    expect(reasonOf(rig.offer("t_a"))).toBe(DeclineReason.RUNNER_LOST);
    rig.take({ kind: "runnerLost" });
    expect(reasonOf(rig.offer("t_b"))).toBe(DeclineReason.RUNNER_LOST);
  });

  it("of a runtime that the runner has not is declined with what it has", () => {
    const rig = new Rig().online();
    rig.take({ kind: "runnerHello", runtimes: ["airflow"], journal: [] });
    rig.take({ kind: "runnerReady", ready: true });
    const effects = rig.offer("t_a");
    expect(reasonOf(effects)).toBe(DeclineReason.CANNOT_RUN);
    expect(saidOf(effects, "decline")?.message).toContain("it has airflow");
  });

  it("that is withdrawn frees its slots and is never started", () => {
    const rig = new Rig().online();
    rig.offer("t_a");
    rig.hear({
      kind: "withdraw",
      task: "t_a",
      attempt: { epoch: 1_794_000_000, number: 1 },
      reason: "",
    });
    expect(rig.state.slotsUsed).toBe(0);
    expect(only(rig.confirm("t_a"), "startWork")).toEqual([]);
  });
});

describe("a confirmation", () => {
  it("PROTOCOL-S4: starts the un-started accept, once", () => {
    const rig = new Rig().online();
    rig.offer("t_a");
    expect(only(rig.confirm("t_a"), "startWork")).toHaveLength(1);
    expect(rig.confirm("t_a")).toEqual([]);
    rig.started("t_a");
    expect(rig.confirm("t_a")).toEqual([]);
  });

  it("PROTOCOL-S4, PROTOCOL-R17: nothing starts without one", () => {
    const rig = new Rig().online();
    rig.offer("t_a");
    for (let turn = 0; turn < 20; turn++) {
      rig.wait(1_000);
      rig.ack();
    }
    expect(only(rig.all, "startWork")).toEqual([]);
  });

  it("PROTOCOL-S5: that comes when the window has passed is declined, and never starts", () => {
    const rig = new Rig().online();
    rig.offer("t_a");
    rig.nowMs += 15_000;
    const effects = rig.confirm("t_a");
    expect(reasonOf(effects)).toBe(DeclineReason.WINDOW_PASSED);
    expect(only(effects, "startWork")).toEqual([]);
    expect(rig.state.slotsUsed).toBe(0);
  });

  it("PROTOCOL-S4: at the last moment of the window starts, and the runner is told what remains", () => {
    const rig = new Rig().online();
    rig.offer("t_a");
    rig.nowMs += 14_999;
    const [start] = only(rig.confirm("t_a"), "startWork");
    expect(start?.windowUntilMs).toBe(rig.nowMs + 1);
  });

  it("PROTOCOL-S4: without a valid lease is declined", () => {
    const rig = new Rig().online();
    rig.nowMs += 19_000;
    rig.offer("t_a");
    rig.nowMs += 1_000;
    expect(reasonOf(rig.confirm("t_a"))).toBe(DeclineReason.NO_LEASE);
  });

  it("PROTOCOL-S5: that never comes hands the accept back when the window has passed", () => {
    const rig = new Rig().online();
    rig.offer("t_a");
    rig.wait(8_000);
    rig.ack();
    expect(reasonOf(rig.wait(7_000))).toBe(DeclineReason.WINDOW_PASSED);
    expect(rig.state.held.size).toBe(0);
  });

  it("PROTOCOL-S4: of an accept of the session before is declined", () => {
    const rig = new Rig().online();
    rig.offer("t_a");
    rig.hear({ kind: "sessionEnded", reason: "lease_expired", mayReturn: true });
    rig.session = 2;
    rig.dial();
    rig.welcome();
    rig.ack();
    const effects = rig.confirm("t_a");
    expect(only(effects, "startWork")).toEqual([]);
    expect(reasonOf(effects)).toBe(DeclineReason.WINDOW_PASSED);
  });

  it("PROTOCOL-S3: after a resume still starts what was accepted before the cut", () => {
    const rig = new Rig().online();
    rig.offer("t_a");
    rig.cut();
    const [dial] = only(rig.dial(), "dial");
    expect(dial?.hello.resume).toMatchObject({ generation: 2 });
    expect(dial?.hello.inventory.entries?.map((entry) => entry.task)).toEqual(["t_a"]);
    rig.welcome(true);
    expect(only(rig.confirm("t_a"), "startWork")).toHaveLength(1);
  });

  it("that arrives in a frame of another session is passed over", () => {
    const rig = new Rig().online();
    rig.offer("t_a");
    const confirm = { kind: "confirm", task: "t_a", attempt: { epoch: 1_794_000_000, number: 1 } };
    expect(rig.hear(confirm as never, 9)).toEqual([]);
  });

  it("that an older stream still brings is passed over", () => {
    const rig = new Rig().online();
    rig.offer("t_a");
    const dial = rig.state.dial;
    rig.cut();
    rig.dial();
    rig.welcome(true);
    const says = { kind: "confirm", task: "t_a", attempt: { epoch: 1_794_000_000, number: 1 } };
    const stale = rig.take({ kind: "server", dial, session: undefined, says: says as never });
    expect(stale).toEqual([]);
  });
});

describe("the runner's word", () => {
  it("that it started is told, and its end frees the slots and is reported", () => {
    const rig = new Rig().online();
    rig.offer("t_a");
    rig.confirm("t_a");
    expect(said(rig.started("t_a"))).toEqual(["progress"]);
    const effects = rig.ended("t_a");
    expect(said(effects)).toEqual(["report"]);
    expect(saidOf(effects, "report")?.digest).toHaveLength(32);
    expect(rig.state.slotsUsed).toBe(0);
  });

  it.each([
    ["window_passed", DeclineReason.WINDOW_PASSED],
    ["no_lease", DeclineReason.NO_LEASE],
    ["cannot_run", DeclineReason.CANNOT_RUN],
    ["not_ready", DeclineReason.RUNNER_LOST],
  ])("PROTOCOL-S4: that it refused for %s hands the attempt back", (reason, declined) => {
    const rig = new Rig().online();
    rig.offer("t_a");
    rig.confirm("t_a");
    expect(reasonOf(rig.refused("t_a", reason))).toBe(declined);
    expect(rig.state.held.size).toBe(0);
  });

  it("PROTOCOL-I1: that it knows the attempt already does not hand it back", () => {
    const rig = new Rig().online();
    rig.offer("t_a");
    rig.confirm("t_a");
    expect(said(rig.refused("t_a", "known_attempt"))).toEqual([]);
    expect(rig.state.held.size).toBe(1);
  });
});

describe("a report", () => {
  it("PROTOCOL-C1: is sent on every new stream until it is answered", () => {
    const rig = new Rig().online();
    rig.run("t_a");
    rig.cut();
    expect(said(rig.ended("t_a"))).toEqual([]);
    rig.dial();
    expect(said(rig.welcome(true))).toContain("report");
    rig.cut();
    rig.dial();
    expect(said(rig.welcome(true))).toContain("report");
    const effects = rig.answer("t_a", ReportVerdict.ACCEPTED);
    expect(only(effects, "forgetWork")).toHaveLength(1);
    rig.cut();
    rig.dial();
    expect(said(rig.welcome(true))).not.toContain("report");
  });

  it("PROTOCOL-C1: is sent again on a stream that stays when no answer comes", () => {
    const rig = new Rig().online();
    rig.run("t_a");
    rig.ended("t_a");
    rig.wait(5_000);
    rig.ack();
    expect(said(rig.wait(5_000))).toContain("report");
  });

  it.each([
    ReportVerdict.ACCEPTED,
    ReportVerdict.DUPLICATE,
    ReportVerdict.STALE,
    ReportVerdict.UNKNOWN_TASK,
    ReportVerdict.CONFLICT,
  ])("PROTOCOL-C2: verdict %s is for good: the journal may forget", (verdict) => {
    const rig = new Rig().online();
    rig.run("t_a");
    rig.ended("t_a");
    expect(only(rig.answer("t_a", verdict), "forgetWork")).toHaveLength(1);
    expect(rig.state.held.size).toBe(0);
  });

  it("PROTOCOL-C2: RETRY sends it again after the time that was asked for", () => {
    const rig = new Rig().online();
    rig.run("t_a");
    rig.ended("t_a");
    expect(rig.answer("t_a", ReportVerdict.RETRY, 3_000)).toEqual([]);
    expect(said(rig.wait(2_999))).toEqual([]);
    expect(said(rig.wait(1))).toEqual(["report"]);
  });

  it("an answer for an attempt that still runs changes nothing", () => {
    const rig = new Rig().online();
    rig.run("t_a");
    expect(rig.answer("t_a", ReportVerdict.ACCEPTED)).toEqual([]);
    expect(rig.state.held.size).toBe(1);
  });
});

describe("a cancel", () => {
  it("PROTOCOL-C4: before the start hands the attempt back, and it never starts", () => {
    const rig = new Rig().online();
    rig.offer("t_a");
    expect(reasonOf(rig.cancel("t_a"))).toBe(DeclineReason.CANCELED);
    expect(only(rig.confirm("t_a"), "startWork")).toEqual([]);
  });

  it("PROTOCOL-C4: after the start stops it, asked once however often it is repeated", () => {
    const rig = new Rig().online();
    rig.run("t_a");
    expect(only(rig.cancel("t_a"), "stopWork")).toMatchObject([{ reason: "STOP_REASON_CANCELED" }]);
    expect(rig.cancel("t_a")).toEqual([]);
  });

  it("PROTOCOL-C4: after the end repeats the report, which stands", () => {
    const rig = new Rig().online();
    rig.run("t_a");
    rig.ended("t_a");
    expect(said(rig.cancel("t_a"))).toEqual(["report"]);
  });
});

describe("the word on an inventory", () => {
  it("PROTOCOL-S6: KILL stops what runs, and its report is the answer", () => {
    const rig = new Rig().online();
    rig.run("t_a");
    const effects = rig.verdict("t_a", InventoryVerdict.KILL);
    expect(only(effects, "stopWork")).toMatchObject([{ reason: "STOP_REASON_KILLED" }]);
    expect(said(rig.ended("t_a"))).toEqual(["report"]);
  });

  it("PROTOCOL-S6: KILL of an accept hands it back, and of an end repeats the report", () => {
    const rig = new Rig().online();
    rig.offer("t_a");
    expect(said(rig.verdict("t_a", InventoryVerdict.KILL))).toEqual(["decline"]);
    rig.run("t_b");
    rig.ended("t_b");
    expect(said(rig.verdict("t_b", InventoryVerdict.KILL))).toEqual(["report"]);
  });

  it("PROTOCOL-S6: REPORT sends the report, KEEP does nothing", () => {
    const rig = new Rig().online();
    rig.run("t_a");
    expect(rig.verdict("t_a", InventoryVerdict.KEEP)).toEqual([]);
    expect(rig.verdict("t_a", InventoryVerdict.REPORT)).toEqual([]);
    rig.ended("t_a");
    expect(said(rig.verdict("t_a", InventoryVerdict.REPORT))).toEqual(["report"]);
  });

  it("PROTOCOL-S6: its digest is the one of the contract, and changes with what is held", () => {
    const rig = new Rig().online();
    const empty = Buffer.from(
      saidOf(rig.hear({ kind: "inventoryRequest", epoch: 0 }), "inventory")?.digest ?? [],
    );
    expect(empty.toString("hex")).toBe(
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    );
    rig.offer("t_b");
    rig.run("t_a");
    const inventory = saidOf(rig.hear({ kind: "inventoryRequest", epoch: 0 }), "inventory");
    // printf 't_a|1794000000.1|ATTEMPT_STATE_STARTED\nt_b|1794000000.1|ATTEMPT_STATE_ACCEPTED\n' | sha256sum
    expect(Buffer.from(inventory?.digest ?? []).toString("hex")).toBe(
      "6e44e96d05b373448a5f4d5b914bed44efbca0c3db28190fa8bb9e5d5537cc59",
    );
  });
});

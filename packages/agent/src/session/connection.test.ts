// SPDX-License-Identifier: Apache-2.0
// Proves how the agent stays known: dials, sessions, beats, lease, runner, and its leaving (PROTOCOL 1, 5, 8).

import { RunnerState } from "@remex/proto/agent/v1";
import { OnCut, OutcomeReason } from "@remex/proto/common/v1";
import { describe, expect, it } from "vitest";
import { attempt, only, outcome, Rig, said, saidOf, settings } from "../testing/machine-rig.ts";

function hadStarted(task: string, ended: boolean) {
  const facts = {
    idempotencyKey: "k",
    payloadDigest: new Uint8Array(),
    queue: "default",
    requiredLabels: {},
    slotCost: 1,
    onLost: 0,
    onCut: 0,
    lostAfterMs: undefined,
  };
  return { task, attempt: attempt(1), facts, outcome: ended ? outcome() : undefined };
}

describe("taking a state directory over", () => {
  const former = {
    instance: new Uint8Array(16).fill(7),
    session: { epoch: attempt(1).epoch, number: 9 },
  };
  const refusal = (rig: Rig, code: string) => rig.cut("already_exists", code);
  const helloOf = (rig: Rig) => only(rig.dial(), "dial")[0]?.hello;

  it("PROTOCOL-T6: names the instance whose lock its runner has, until it has a session of its own", () => {
    const rig = new Rig(2, former);
    rig.runner();
    expect(helloOf(rig)).toMatchObject({ takeover: former, unguarded: false, dial: 1 });
    rig.cut();
    expect(helloOf(rig)).toMatchObject({ takeover: former, dial: 2 });
    rig.welcome();
    rig.cut();
    expect(helloOf(rig)).toMatchObject({ takeover: undefined, dial: 3 });
  });

  it("PROTOCOL-T6: while the directory is locked it says hello as a conflict, without a claim, and is told once", () => {
    const rig = new Rig(2, former);
    rig.take({ kind: "stateLocked" });
    expect(helloOf(rig)).toMatchObject({ takeover: undefined, unguarded: true });
    const told = [refusal(rig, "agent_name_alive")];
    rig.take({ kind: "stateLocked" });
    expect(helloOf(rig)).toMatchObject({ unguarded: true });
    told.push(refusal(rig, "agent_name_alive"));
    expect(told.map((effects) => only(effects, "log").length)).toEqual([1, 0]);
    expect(only(told[1] ?? [], "waitToDial")[0]?.floorMs).toBeGreaterThanOrEqual(10_000);
  });

  it("PROTOCOL-T6: dials at once, with its claim, when the runner has the lock after all", () => {
    const rig = new Rig(2, former);
    rig.take({ kind: "stateLocked" });
    rig.dial();
    refusal(rig, "agent_unguarded");
    expect(only(rig.runner(), "waitToDial")).toMatchObject([{ floorMs: 0, jitterMs: 0 }]);
    expect(helloOf(rig)).toMatchObject({ takeover: former, unguarded: false });
  });
});

describe("dialling", () => {
  it("waits until the runner has told what its journal holds, then says so in the hello", () => {
    const rig = new Rig();
    rig.wait(60_000);
    expect(rig.all).toEqual([]);
    const journal = [hadStarted("t_old", true)];
    const effects = rig.take({ kind: "runnerHello", runtimes: ["noop"], journal });
    expect(only(effects, "waitToDial")).toMatchObject([{ floorMs: 0, jitterMs: 0 }]);
    const [dial] = only(rig.dial(), "dial");
    expect(dial?.hello.resume).toBeUndefined();
    expect(dial?.hello.inventory.entries?.map((entry) => entry.task)).toEqual(["t_old"]);
  });

  it("PROTOCOL-L5: at once after a connection that held, then with full jitter up to AL/2", () => {
    const rig = new Rig().online();
    for (let turn = 0; turn < 3; turn++) {
      rig.wait(9_000);
      rig.ack();
    }
    const bounds: number[] = [];
    let [wait] = only(rig.cut(), "waitToDial");
    for (let turn = 0; turn < 8; turn++) {
      bounds.push(wait?.jitterMs ?? -1);
      rig.dial();
      [wait] = only(rig.cut(), "waitToDial");
    }
    expect(bounds).toEqual([0, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  });

  it("PROTOCOL-L5: a connection that did not hold does not make the failures forgotten", () => {
    const rig = new Rig().online();
    rig.cut();
    rig.dial();
    rig.welcome(true);
    const [wait] = only(rig.cut(), "waitToDial");
    expect(wait?.jitterMs).toBeGreaterThan(0);
  });

  it("PROTOCOL-L5: an open stream without an acknowledgement for 1.5 H is given up and resumed", () => {
    const rig = new Rig().online();
    expect(only(rig.wait(15_000), "hangUp")).toEqual([]);
    const effects = rig.wait(1);
    expect(only(effects, "hangUp")).toHaveLength(1);
    expect(only(effects, "waitToDial")).toHaveLength(1);
    const [dial] = only(rig.dial(), "dial");
    expect(dial?.hello.resume).toMatchObject({ session: { number: 1 }, generation: 2 });
  });

  it("PROTOCOL-I13: each dial of a session has a higher generation", () => {
    const rig = new Rig().online();
    const generations: (number | undefined)[] = [];
    for (let turn = 0; turn < 3; turn++) {
      rig.cut();
      const [dial] = only(rig.dial(), "dial");
      generations.push(dial?.hello.resume?.generation);
    }
    expect(generations).toEqual([2, 3, 4]);
  });

  it("a hello that nobody answers is given up", () => {
    const rig = new Rig();
    rig.runner();
    rig.dial();
    expect(only(rig.wait(15_000), "hangUp")).toEqual([]);
    expect(only(rig.wait(1), "hangUp")).toHaveLength(1);
  });

  it.each([
    ["failed_precondition", "session_ended"],
    ["unauthenticated", "session_key_refused"],
    ["not_found", undefined],
  ])("a resume refused as %s %s asks for a new session at once", (status, code) => {
    const rig = new Rig().online();
    rig.offer("t_a");
    rig.run("t_b");
    rig.cut();
    rig.dial();
    rig.cut(status, code);
    const [dial] = only(rig.dial(), "dial");
    expect(dial?.hello.resume).toBeUndefined();
    // The accept went with its session; what runs is told, so that it can be bound again or killed.
    expect(dial?.hello.inventory.entries?.map((entry) => entry.task)).toEqual(["t_b"]);
    expect(rig.state.slotsUsed).toBe(1);
  });

  it("R8: a refused token is tried again slowly, and said as an error with the server's words", () => {
    const rig = new Rig();
    rig.runner();
    rig.dial();
    const effects = rig.cut("unauthenticated", "token_revoked");
    expect(only(effects, "waitToDial")).toMatchObject([{ floorMs: 10_000 }]);
    expect(only(effects, "log")).toMatchObject([{ level: "error", fields: { reason: "broken" } }]);
  });

  it("PROTOCOL-L6: waits as long as an admission that is full asks for", () => {
    const rig = new Rig();
    rig.runner();
    rig.dial();
    const end = {
      status: "resource_exhausted",
      code: "admission_full",
      message: "",
      retryAfterMs: 750,
    };
    const effects = rig.take({ kind: "streamEnded", dial: rig.state.dial, end });
    expect(only(effects, "waitToDial")).toMatchObject([{ floorMs: 750 }]);
  });

  it("PROTOCOL-L5: go-away dials again as asked, without counting as a failure", () => {
    const rig = new Rig().online();
    const effects = rig.hear({ kind: "goAway", reason: "shutting_down", dialAfterMs: 300 });
    expect(only(effects, "waitToDial")).toMatchObject([{ floorMs: 300, jitterMs: 0 }]);
  });
});

describe("beats and the lease", () => {
  it("R2: the first beat follows the welcome at once and carries the capabilities, later ones every H", () => {
    const rig = new Rig();
    rig.runner();
    rig.dial();
    const [first] = only(rig.welcome(), "beat");
    expect(first).toMatchObject({ withCapabilities: true, beat: { sequence: 1n } });
    expect(only(rig.wait(9_999), "beat")).toEqual([]);
    const [second] = only(rig.wait(1), "beat");
    expect(second).toMatchObject({ withCapabilities: false, beat: { sequence: 2n } });
  });

  it("PROTOCOL-T3: the runner's lease counts from the sending of the acknowledged beat", () => {
    const rig = new Rig().online();
    rig.wait(10_000);
    rig.nowMs += 4_000;
    const [renewal] = only(rig.ack(), "renewRunner");
    expect(renewal).toMatchObject({ untilMs: 30_000, stopMs: 6_000 });
  });

  it("PROTOCOL-L1: an acknowledgement of an older beat renews nothing", () => {
    const rig = new Rig().online();
    rig.wait(10_000);
    rig.ack(2);
    const [renewal] = only(rig.ack(1), "renewRunner");
    expect(renewal?.untilMs).toBe(30_000);
  });

  it("PROTOCOL-T5: a beat carries the turns of the work loop and its age", () => {
    const rig = new Rig().online();
    rig.wait(5_000);
    const [beat] = only(rig.wait(5_000), "beat");
    expect(beat?.beat.loopTurns).toBe(2n);
    expect(beat?.beat.loopAge).toMatchObject({ seconds: 0n });
  });

  it("PROTOCOL-T4: while the interval changes the smaller values hold, until a beat that echoes it is acknowledged", () => {
    const rig = new Rig().online();
    const slower = { ...settings, version: 2, heartbeatMs: 20_000, leaseMs: 40_000 };
    const effects = rig.hear({ kind: "settings", settings: slower });
    const [echo] = only(effects, "beat");
    expect(echo?.beat.intervalVersion).toBe(2n);
    const [before] = only(effects, "renewRunner");
    expect(before?.untilMs).toBe(20_000);
    rig.ack();
    rig.wait(10_000);
    const [after] = only(rig.ack(), "renewRunner");
    expect(after?.untilMs).toBe(50_000);
    const faster = { ...settings, version: 3, heartbeatMs: 2_000, leaseMs: 4_000 };
    const [shorter] = only(rig.hear({ kind: "settings", settings: faster }), "renewRunner");
    expect(shorter?.untilMs).toBe(14_000);
  });

  it("older settings change nothing", () => {
    const rig = new Rig().online();
    expect(rig.hear({ kind: "settings", settings })).toEqual([]);
  });

  it("PROTOCOL-S6: a newer epoch of the store is answered with the inventory", () => {
    const rig = new Rig().online();
    const effects = rig.hear({ kind: "beatAck", sequence: 1, epoch: 1_794_000_009 });
    expect(said(effects)).toEqual(["inventory"]);
  });
});

describe("the end of a session", () => {
  it("PROTOCOL-L8: ENDING hands un-started accepts back and asks for a new session with an inventory", () => {
    const rig = new Rig().online();
    rig.offer("t_a");
    rig.run("t_b");
    const effects = rig.hear({ kind: "sessionEnding", reason: "token_revoked" });
    expect(said(effects)).toEqual(["decline"]);
    expect(only(effects, "hangUp")).toHaveLength(1);
    const [dial] = only(rig.dial(), "dial");
    expect(dial?.hello.resume).toBeUndefined();
    expect(dial?.hello.inventory.entries?.map((entry) => entry.task)).toEqual(["t_b"]);
  });

  it("R21: what was confirmed runs on through ENDED, and its result is reported in the next session", () => {
    const rig = new Rig().online();
    rig.run("t_a");
    rig.hear({ kind: "sessionEnded", reason: "lease_expired", mayReturn: true });
    expect(only(rig.all, "stopWork")).toEqual([]);
    rig.ended("t_a");
    rig.session = 2;
    rig.dial();
    expect(said(rig.welcome())).toContain("report");
  });

  it("PROTOCOL-O3 PROTOCOL-L8: when it is deleted it kills what runs, and says goodbye when nothing is left", () => {
    const rig = new Rig().online();
    rig.run("t_a");
    rig.offer("t_b");
    const effects = rig.hear({ kind: "sessionEnding", reason: "deleted" });
    expect(said(effects)).toEqual(["decline"]);
    expect(only(effects, "stopWork")).toMatchObject([
      { task: "t_a", reason: "STOP_REASON_KILLED" },
    ]);
    expect(only(effects, "waitToDial")).toEqual([]);
    expect(said(rig.ended("t_a"))).toEqual(["report", "goodbye"]);
    expect(said(rig.wait(100))).not.toContain("goodbye");
  });

  it("PROTOCOL-O3: a deleted agent with nothing to do says goodbye at once", () => {
    const rig = new Rig().online();
    expect(said(rig.hear({ kind: "sessionEnding", reason: "deleted" }))).toEqual(["goodbye"]);
    const over = rig.hear({ kind: "sessionEnded", reason: "deleted", mayReturn: false });
    expect(only(over, "waitToDial")).toMatchObject([{ floorMs: 10_000 }]);
  });

  it("PROTOCOL-O3: a deleted agent that comes back kills what runs, and asks again when it is told to", () => {
    const rig = new Rig().online();
    rig.run("t_a");
    rig.cut();
    rig.dial();
    const refused = { status: "failed_precondition", code: "agent_deleted", message: "deleted" };
    const end = { ...refused, retryAfterMs: 300_000 };
    const effects = rig.take({ kind: "streamEnded", dial: rig.state.dial, end });
    expect(only(effects, "stopWork")).toMatchObject([{ reason: "STOP_REASON_KILLED" }]);
    expect(only(effects, "waitToDial")).toMatchObject([{ floorMs: 300_000 }]);
    rig.dial();
    const again = rig.take({ kind: "streamEnded", dial: rig.state.dial, end });
    expect(only(again, "waitToDial")).toMatchObject([{ floorMs: 300_000 }]);
  });

  it("PROTOCOL-H1: a change of what cut-off work does is taken without a new interval", () => {
    const rig = new Rig().online();
    rig.hear({ kind: "settings", settings: { ...settings, onCut: OnCut.ABORT } });
    rig.run("t_a");
    expect(only(rig.all, "startWork")).toMatchObject([{ onCut: OnCut.ABORT }]);
  });

  it("PROTOCOL-H1: what the store has an attempt under holds over the settings", () => {
    const rig = new Rig().online();
    rig.offer("t_a");
    expect(only(rig.confirm("t_a", 1, OnCut.ABORT), "startWork")).toMatchObject([
      { onCut: OnCut.ABORT },
    ]);
    rig.offer("t_b");
    expect(only(rig.confirm("t_b"), "startWork")).toMatchObject([{ onCut: OnCut.CONTINUE }]);
  });

  it("waits when it must not return at once", () => {
    const rig = new Rig().online();
    const effects = rig.hear({ kind: "sessionEnded", reason: "deleted", mayReturn: false });
    expect(only(effects, "waitToDial")).toMatchObject([{ floorMs: 10_000 }]);
  });
});

describe("the runner", () => {
  it("PROTOCOL-G4: when it is lost nothing starts, accepts go back, and a beat says so at once", () => {
    const rig = new Rig().online();
    rig.offer("t_a");
    rig.run("t_b");
    const effects = rig.take({ kind: "runnerLost" });
    expect(said(effects)).toEqual(["decline", "beat"]);
    expect(only(effects, "beat")[0]?.beat.runnerState).toBe(RunnerState.LOST);
    expect(rig.state.held.size).toBe(1);
  });

  it("PROTOCOL-G4: when a new one has the lock, what ran is reported as its journal says", () => {
    const rig = new Rig().online();
    rig.run("t_a");
    rig.take({ kind: "runnerLost" });
    const journal = [hadStarted("t_a", true), hadStarted("t_b", true)];
    const effects = rig.take({ kind: "runnerHello", runtimes: ["noop"], journal });
    expect(said(effects)).toEqual(["report", "report"]);
    expect(rig.state.slotsUsed).toBe(0);
  });

  it("PROTOCOL-G4: what ran and is in no journal is reported as lost; what never began is handed back", () => {
    const rig = new Rig().online();
    rig.run("t_ran");
    rig.offer("t_never");
    rig.confirm("t_never");
    rig.take({ kind: "runnerLost" });
    const effects = rig.take({ kind: "runnerHello", runtimes: ["noop"], journal: [] });
    expect(saidOf(effects, "report")?.outcome?.reason).toBe(OutcomeReason.RUNNER_LOST);
    expect(saidOf(effects, "decline")?.task).toBe("t_never");
  });

  it("is given the lease when it comes back", () => {
    const rig = new Rig().online();
    rig.take({ kind: "runnerLost" });
    expect(only(rig.runner(), "renewRunner")).toHaveLength(1);
  });
});

describe("leaving", () => {
  const drain = { kind: "drain", reason: "SIGTERM", deadlineMs: undefined } as const;

  it("PROTOCOL-O2: SIGTERM hands un-started accepts back at once, and beats go on to the last task", () => {
    const rig = new Rig().online();
    rig.offer("t_a");
    rig.run("t_b");
    expect(said(rig.take(drain))).toEqual(["decline", "draining"]);
    rig.offer("t_c", 1);
    expect(said(rig.wait(10_000))).toEqual(["beat"]);
    rig.ack();
    rig.ended("t_b");
    const effects = rig.answer("t_b", 1);
    expect(saidOf(effects, "goodbye")?.empty).toBe(true);
    const end = { status: "ok", code: undefined, message: "", retryAfterMs: undefined };
    const last = rig.take({ kind: "streamEnded", dial: rig.state.dial, end });
    expect(only(last, "leave")).toHaveLength(1);
  });

  it("PROTOCOL-O2: says goodbye only when nothing runs and every report is answered", () => {
    const rig = new Rig().online();
    rig.run("t_a");
    rig.take(drain);
    rig.ended("t_a");
    expect(said(rig.all)).not.toContain("goodbye");
    rig.answer("t_a", 1);
    expect(said(rig.all)).toContain("goodbye");
  });

  it("leaves without an answer when the control plane stays away; the journal keeps the result", () => {
    const rig = new Rig().online();
    rig.run("t_a");
    rig.take(drain);
    rig.cut();
    rig.ended("t_a");
    rig.wait(19_999);
    expect(only(rig.all, "leave")).toEqual([]);
    rig.wait(1);
    expect(only(rig.all, "leave")).toHaveLength(1);
    expect(only(rig.all, "forgetWork")).toEqual([]);
  });

  it("PROTOCOL-O2: after the deadline what still runs is stopped as drained", () => {
    const rig = new Rig().online();
    rig.run("t_a");
    rig.take({ ...drain, deadlineMs: 5_000 });
    expect(only(rig.wait(4_999), "stopWork")).toEqual([]);
    expect(only(rig.wait(1), "stopWork")).toMatchObject([{ reason: "STOP_REASON_DRAINED" }]);
  });

  it("a second signal stops what runs", () => {
    const rig = new Rig().online();
    rig.run("t_a");
    rig.take(drain);
    const effects = rig.take({ kind: "stopWork", reason: "SIGTERM" });
    expect(only(effects, "stopWork")).toHaveLength(1);
  });

  it("an operator's drain stops at its deadline and keeps the agent connected", () => {
    const rig = new Rig().online();
    rig.run("t_a");
    rig.offer("t_b");
    const says = { kind: "control", available: false, draining: true, drainDeadlineMs: 2_000 };
    expect(said(rig.hear(says as never))).toEqual(["decline"]);
    expect(only(rig.wait(2_000), "stopWork")).toHaveLength(1);
    rig.ended("t_a");
    expect(only(rig.all, "leave")).toEqual([]);
  });

  it("without a connection and without work it leaves at once", () => {
    const rig = new Rig();
    rig.runner();
    expect(only(rig.take(drain), "leave")).toHaveLength(1);
  });
});

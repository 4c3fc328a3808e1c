// SPDX-License-Identifier: Apache-2.0
// Proves how events of triggers leave the agent: under a lease alone, again until answered, never after the end.

import { OnCut } from "@remex/proto/common/v1";
import { describe, expect, it } from "vitest";
import { attempt, only, Rig, said, saidOf } from "../testing/machine-rig.ts";
import type { AgentEffect } from "./agent-state.ts";

/** An agent on which a trigger runs. */
function running(): Rig {
  const rig = new Rig().online();
  rig.trigger("t_a");
  rig.confirm("t_a");
  rig.started("t_a");
  return rig;
}

function answer(rig: Rig, durable: number, refusal?: string): AgentEffect[] {
  const name = { task: "t_a", attempt: attempt(1) };
  return rig.hear({ kind: "eventAnswer", ...name, durable, refusal });
}

function numbersOf(effects: readonly AgentEffect[]): bigint[] {
  return only(effects, "send").flatMap(({ says }) =>
    says.case === "triggerEvent" ? [says.value.number ?? 0n] : [],
  );
}

describe("a trigger on the agent", () => {
  it("PROTOCOL-C5: is started under ABORT, whatever the deployment says", () => {
    const rig = new Rig().online({ onCut: OnCut.CONTINUE });
    rig.trigger("t_a");
    expect(only(rig.confirm("t_a"), "startWork")[0]?.onCut).toBe(OnCut.ABORT);
  });

  it("is declined where the runner has no triggers", () => {
    const rig = new Rig().online();
    rig.take({ kind: "runnerHello", runtimes: ["command"], journal: [] });
    rig.take({ kind: "runnerReady", ready: true });
    expect(saidOf(rig.trigger("t_a"), "decline")?.message).toMatch(/trigger_builtin/);
  });
});

describe("an event", () => {
  it("is sent at once, and told to the runner when it is durable", () => {
    const rig = running();
    const event = saidOf(rig.emitted("t_a", 1), "triggerEvent");
    expect(event).toMatchObject({ task: "t_a", number: 1n, payload: Buffer.from("event 1") });
    expect(only(answer(rig, 1), "eventsDurable")).toMatchObject([{ task: "t_a", durable: 1 }]);
    expect(numbersOf(rig.wait(5_000))).toEqual([]);
  });

  it("PROTOCOL-G3: is sent again until it is answered, and what is durable is not", () => {
    const rig = running();
    rig.emitted("t_a", 1);
    expect(numbersOf(rig.wait(999))).toEqual([]);
    expect(numbersOf(rig.wait(1))).toEqual([1n]);
    rig.emitted("t_a", 2);
    answer(rig, 1);
    const again = rig.wait(1_000);
    expect(numbersOf(again)).toEqual([2n]);
    expect(saidOf(again, "triggerEvent")?.knownDurable).toBe(1n);
  });

  it("PROTOCOL-G3: waits while there is no stream, and leaves on the next one", () => {
    const rig = running();
    rig.cut();
    expect(said(rig.emitted("t_a", 1))).toEqual([]);
    rig.dial();
    expect(numbersOf(rig.welcome(true))).toEqual([1n]);
  });

  it("PROTOCOL-I11 G3: does not leave without a valid lease, and does when it is valid again", () => {
    const rig = running();
    rig.nowMs += 20_000;
    expect(numbersOf(rig.emitted("t_a", 1))).toEqual([]);
    rig.cut();
    rig.dial();
    expect(numbersOf(rig.welcome(true))).toEqual([]);
    rig.ack();
    expect(numbersOf(rig.wait(1))).toEqual([1n]);
  });

  it("R22: of an attempt that was stopped at the lease's end never leaves", () => {
    const rig = running();
    rig.cut();
    rig.emitted("t_a", 1);
    rig.nowMs += 20_000;
    rig.ended("t_a");
    rig.dial();
    rig.welcome(true);
    rig.ack();
    expect(numbersOf(rig.all)).toEqual([]);
    expect(numbersOf(rig.wait(2_000))).toEqual([]);
    expect(rig.state.emitted.size).toBe(0);
  });

  it("PROTOCOL-C5: that is refused stops its trigger, which is not current any more", () => {
    const rig = running();
    rig.emitted("t_a", 1);
    const effects = answer(rig, 0, "taken over");
    expect(only(effects, "stopWork")).toMatchObject([{ reason: "STOP_REASON_KILLED" }]);
    expect(numbersOf(rig.wait(2_000))).toEqual([]);
  });

  it("of an attempt that the agent does not hold is passed over", () => {
    expect(new Rig().online().emitted("t_b", 1)).toEqual([]);
  });

  it("of many triggers at once leaves over several turns, so that no stream is cut for what waits", () => {
    const rig = new Rig(100).online();
    const names = Array.from({ length: 20 }, (_, i) => `t_${i}`);
    for (const task of names) {
      rig.trigger(task);
      rig.confirm(task);
      rig.started(task);
    }
    rig.cut();
    const payload = new Uint8Array(200_000);
    for (const task of names) {
      rig.take({ kind: "attemptEmitted", task, attempt: attempt(1), number: 1, payload });
    }
    rig.dial();
    expect(numbersOf(rig.welcome(true))).toHaveLength(6);
    expect(numbersOf(rig.wait(100))).toHaveLength(6);
    expect(numbersOf(rig.wait(100))).toHaveLength(6);
    expect(numbersOf(rig.wait(100))).toHaveLength(2);
  });

  it("beyond the sixteen that may be unanswered stops its trigger", () => {
    const rig = running();
    for (let number = 1; number <= 16; number++) rig.emitted("t_a", number);
    expect(only(rig.all, "stopWork")).toEqual([]);
    expect(only(rig.emitted("t_a", 17), "stopWork")).toHaveLength(1);
  });
});

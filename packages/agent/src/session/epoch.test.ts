// SPDX-License-Identifier: Apache-2.0
import { InventoryVerdict } from "@remex/proto/agent/v1";
import { describe, expect, test } from "vitest";
import type { AgentEffect } from "./agent-state.ts";
import { attempt, epoch, outcome, Rig, settings } from "../testing/machine-rig.ts";

const next = epoch + 100;

/** What is said, by its case. */
function said(effects: readonly AgentEffect[], kind: string) {
  return effects.flatMap((effect) =>
    effect.kind === "send" && effect.says.case === kind ? [effect.says.value] : [],
  );
}

/** A connected agent: "runs" was started, "ended" waits for its answer, "accepted" was not confirmed. */
function busy(): Rig {
  const rig = new Rig(5).online();
  for (const task of ["runs", "ended"]) {
    rig.offer(task);
    rig.confirm(task);
    const started = { pid: 1, startedAtWallMs: 0 };
    rig.take({ kind: "attemptStarted", task, attempt: attempt(1), ...started });
  }
  rig.take({ kind: "attemptEnded", task: "ended", attempt: attempt(1), outcome: outcome() });
  rig.offer("accepted");
  return rig;
}

const tasksOf = (inventory: unknown) =>
  (inventory as { entries: { task: string }[] }).entries.map(({ task }) => task).sort();

describe("a new epoch of the store", () => {
  const ways: readonly [string, (rig: Rig) => AgentEffect[]][] = [
    ["an acknowledgement", (rig) => rig.hear({ kind: "beatAck", sequence: 1, epoch: next })],
    ["a demand", (rig) => rig.hear({ kind: "inventoryRequest", epoch: next })],
  ];
  for (const [name, learn] of ways) {
    test(`PROTOCOL-S6 D2: ${name} of a newer epoch brings the inventory of what runs and what has ended, once`, () => {
      const rig = busy();
      const [inventory, ...more] = said(learn(rig), "inventory");
      expect(more).toEqual([]);
      expect(tasksOf(inventory)).toEqual(["ended", "runs"]);
      expect(inventory).toMatchObject({ epochSeen: BigInt(next) });
      expect(said(rig.hear({ kind: "beatAck", sequence: 1, epoch: next }), "inventory")).toEqual(
        [],
      );
    });
  }

  test("PROTOCOL-D2: an accept that was not started is void, and its confirm starts nothing", () => {
    const rig = busy();
    rig.hear({ kind: "inventoryRequest", epoch: next });
    const effects = rig.confirm("accepted");
    expect(effects.filter(({ kind }) => kind === "startWork")).toEqual([]);
    expect(said(effects, "decline")).toHaveLength(1);
  });

  test("PROTOCOL-D2: a resume that leads to a newer epoch drops accepts and says the inventory again", () => {
    const rig = busy();
    const end = { status: "unavailable", code: undefined, message: "", retryAfterMs: undefined };
    rig.take({ kind: "streamEnded", dial: rig.state.dial, end });
    const dialled = rig.dial().find((effect) => effect.kind === "dial");
    expect(dialled).toMatchObject({
      hello: { epochSeen: epoch, inventory: { epochSeen: BigInt(epoch) } },
    });
    const effects = rig.hear({
      kind: "welcome",
      welcome: {
        deployment: "test",
        session: { epoch, number: 1 },
        generation: 2,
        resumed: true,
        settings,
        epoch: next,
        available: true,
      },
    });
    const [inventory] = said(effects, "inventory");
    expect(tasksOf(inventory)).toEqual(["ended", "runs"]);
    expect(inventory).toMatchObject({ epochSeen: BigInt(next) });
    expect(said(rig.confirm("accepted"), "decline")).toHaveLength(1);
  });

  test("PROTOCOL-D2: a session that the store forgot is replaced by a new one, and what runs keeps running", () => {
    const rig = busy();
    const ended = rig.hear({ kind: "sessionEnded", reason: "session_unknown", mayReturn: true });
    expect(ended.filter(({ kind }) => kind === "stopWork" || kind === "leave")).toEqual([]);
    const dialled = rig.dial().find((effect) => effect.kind === "dial");
    expect(dialled).toMatchObject({ hello: { resume: undefined } });
    expect(tasksOf(dialled?.kind === "dial" && dialled.hello.inventory)).toEqual(["ended", "runs"]);
  });

  test("PROTOCOL-L1 D2: an acknowledgement of an older epoch than was seen renews nothing", () => {
    const rig = new Rig().online();
    rig.hear({ kind: "beatAck", sequence: 1, epoch: next });
    rig.wait(10_000);
    const before = rig.state.lease;
    rig.hear({ kind: "beatAck", sequence: 2, epoch });
    expect(rig.state.lease).toEqual(before);
    rig.hear({ kind: "beatAck", sequence: 2, epoch: next });
    expect(rig.state.lease).not.toEqual(before);
  });

  test("PROTOCOL-D2: an offer of an older epoch than was seen is passed over", () => {
    const rig = new Rig().online();
    rig.hear({ kind: "inventoryRequest", epoch: next });
    expect(rig.offer("late")).toEqual([]);
    expect(rig.state.held.size).toBe(0);
  });

  test("PROTOCOL-D2: an adopted attempt goes on, one that is not current is stopped", () => {
    const rig = busy();
    rig.hear({ kind: "inventoryRequest", epoch: next });
    const named = { task: "runs", attempt: attempt(1) };
    const keep = [{ ...named, verdict: InventoryVerdict.KEEP }];
    expect(rig.hear({ kind: "inventoryAnswer", verdicts: keep })).toEqual([]);
    const kill = [{ ...named, verdict: InventoryVerdict.KILL }];
    const effects = rig.hear({ kind: "inventoryAnswer", verdicts: kill });
    expect(effects.filter(({ kind }) => kind === "stopWork")).toHaveLength(1);
  });
});

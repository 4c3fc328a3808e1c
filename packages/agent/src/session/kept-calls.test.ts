// SPDX-License-Identifier: Apache-2.0
// Proves what the agent's machine does with calls that were kept during a cut (PROTOCOL E1).

import { AttemptState, InventoryVerdict } from "@remex/proto/agent/v1";
import { describe, expect, it } from "vitest";
import { attempt, only, Rig, said, saidOf } from "../testing/machine-rig.ts";

const name = { task: "t_a", attempt: attempt(1) };

function cutWithCalls(): Rig {
  const rig = new Rig().online();
  rig.run("t_a");
  rig.cut();
  rig.take({ kind: "callsKept", ...name });
  rig.ended("t_a");
  return rig;
}

describe("PROTOCOL-E1: kept calls", () => {
  it("hold their attempt's result back, and it counts as running, until they are settled", () => {
    const rig = cutWithCalls();
    const [dial] = only(rig.dial(), "dial");
    expect(dial?.hello.inventory.entries).toMatchObject([{ state: AttemptState.STARTED }]);
    expect(said(rig.welcome(true))).not.toContain("report");
    expect(only(rig.verdict("t_a", InventoryVerdict.KEEP), "sendCalls")).toMatchObject([name]);
    expect(said(rig.wait(1_000))).not.toContain("report");
    expect(said(rig.take({ kind: "callsSettled", ...name, dropped: 0 }))).toEqual(["report"]);
  });

  it("of an attempt that is not current are dropped, and its result follows", () => {
    const rig = cutWithCalls();
    rig.dial();
    rig.welcome(true);
    const effects = rig.verdict("t_a", InventoryVerdict.KILL);
    expect(only(effects, "dropCalls")).toMatchObject([name]);
    expect(only(effects, "sendCalls")).toEqual([]);
    const settled = rig.take({ kind: "callsSettled", ...name, dropped: 3 });
    expect(saidOf(settled, "report")).toMatchObject({ task: "t_a", droppedCalls: 3 });
    // Until it is answered it is said with every report.
    rig.cut();
    rig.dial();
    expect(saidOf(rig.welcome(true), "report")).toMatchObject({ droppedCalls: 3 });
  });

  it("are asked about again while no word comes, on a stream that stays too", () => {
    const rig = new Rig().online();
    rig.run("t_a");
    rig.take({ kind: "callsKept", ...name });
    expect(saidOf(rig.wait(2_000), "inventory")?.entries).toHaveLength(1);
    expect(said(rig.wait(1_000))).not.toContain("inventory");
    expect(said(rig.wait(1_000))).toContain("inventory");
    rig.verdict("t_a", InventoryVerdict.KEEP);
    rig.take({ kind: "callsSettled", ...name, dropped: 0 });
    expect(said(rig.wait(5_000))).not.toContain("inventory");
  });

  it("of an attempt that the agent does not hold any more are dropped", () => {
    const rig = new Rig();
    rig.take({ kind: "callsKept", ...name });
    rig.online();
    expect(only(rig.wait(2_000), "dropCalls")).toMatchObject([name]);
  });
});

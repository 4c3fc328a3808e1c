// SPDX-License-Identifier: Apache-2.0
// Proves what a scan tells the store and what it makes of the answer: first look, clock jumps, brakes.
import { createFakeClock } from "@remex/runtime/testing";
import type { ExpireReply, MonitorView } from "@remex/store";
import { describe, expect, it } from "vitest";
import { createLeaseScan, type LeaseScan } from "./lease-scan.ts";

/** A scan over a store that answers what the test says. */
class World {
  readonly clock = createFakeClock();
  readonly views: [string, MonitorView][] = [];
  readonly jumps: number[] = [];
  readonly failures: unknown[] = [];
  storeMs = 1_000_000;
  reply: () => ExpireReply = () => ({
    ...{ kind: "scanned", nowMs: this.storeMs, more: false, verdicts: [], brakes: [] },
  });
  readonly #scan: LeaseScan;

  constructor(deployments: readonly string[] = ["dep"]) {
    this.#scan = createLeaseScan({
      clock: this.clock,
      listDeployments: async () => deployments,
      look: async () => ({ monitor: "m", heard: { r: 40 }, living: ["r"] }),
      expire: async (deployment, _rows, view) => {
        this.views.push([deployment, view]);
        return this.reply();
      },
      forget: async () => undefined,
      onVerdicts: () => undefined,
      onBrakes: () => undefined,
      onClockJump: (jumpMs) => this.jumps.push(jumpMs),
      onScanned: () => undefined,
      onFailure: (error) => this.failures.push(error),
    });
  }

  /** A scan after so much time of this process and of the store. */
  async after(ownMs: number, storeMs = ownMs): Promise<void> {
    await this.clock.advance(ownMs);
    this.storeMs += storeMs;
    await this.#scan.scanOnce();
  }
}

describe("a scan", () => {
  it("PROTOCOL-L3: says which look is its first at a deployment, how long ago the last one was, and what it hears", async () => {
    const world = new World(["one", "two"]);
    await world.after(0);
    await world.after(250);
    const view = { monitor: "m", heard: { r: 40 }, living: ["r"] };
    expect(world.views).toEqual([
      ["one", { ...view, first: true }],
      ["two", { ...view, first: true }],
      ["one", { ...view, first: false, sinceMs: 250 }],
      ["two", { ...view, first: false, sinceMs: 250 }],
    ]);
  });

  it("PROTOCOL-L3: a look that the store refused or did not answer was none", async () => {
    const world = new World();
    const good = world.reply;
    world.reply = () => ({ kind: "refused", reason: "not_projected" });
    await world.after(0);
    world.reply = () => {
      throw new Error("away");
    };
    await world.after(250);
    world.reply = good;
    await world.after(250);
    await world.after(250);
    world.reply = () => {
      throw new Error("away");
    };
    await world.after(250);
    world.reply = good;
    await world.after(250);
    expect(world.views.map(([, { first }]) => first)).toEqual([
      ...[true, true, true, false, false, false],
    ]);
    expect(world.views.at(-1)?.[1].sinceMs).toBe(500);
    expect(world.failures).toHaveLength(2);
  });

  it("PROTOCOL-T2: a jump of the store's clock is told, ahead and back", async () => {
    const world = new World();
    await world.after(0);
    await world.after(250);
    await world.after(250, 11_000);
    await world.after(250, -60_000);
    await world.after(250);
    expect(world.jumps).toEqual([10_750, -60_250]);
  });

  it("PROTOCOL-T2: a pause of this process is none", async () => {
    const world = new World();
    await world.after(0);
    await world.after(90_000);
    expect(world.jumps).toEqual([]);
  });
});

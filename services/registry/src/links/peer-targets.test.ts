// SPDX-License-Identifier: Apache-2.0
// Proves that links stay while a wiped store fills again, and go when a replica is gone.
import { createFakeClock } from "@remex/runtime/testing";
import { describe, expect, it } from "vitest";
import { followPeers } from "./peer-targets.ts";

function follow() {
  const clock = createFakeClock();
  const world = { listed: ["s-1", "s-2"], epoch: "1", targets: [] as string[] };
  const stop = followPeers({
    clock,
    epoch: () => world.epoch,
    listReplicas: async (role) =>
      world.listed.map((replica) => ({
        ...{ role, replica, address: "x", softwareVersion: "0", ageMs: 0 },
      })),
    relays: {
      scheduler: {
        setTargets: (targets) => {
          world.targets = targets.map(({ id }) => id).sort();
        },
      },
    },
    onFailure: (error) => {
      throw error;
    },
  });
  return { clock, world, stop };
}

describe("replicas that are linked to", () => {
  it("PROTOCOL-D2: nobody is gone because a wiped store lists nobody yet", async () => {
    const { clock, world, stop } = follow();
    await clock.advance(1_000);
    world.listed = [];
    await clock.advance(1_000);
    expect(world.targets).toEqual(["s-1", "s-2"]);
    // The wipe is noticed; who writes its record again within its life stays.
    world.epoch = "2";
    await clock.advance(5_000);
    expect(world.targets).toEqual(["s-1", "s-2"]);
    world.listed = ["s-2"];
    await clock.advance(10_000);
    expect(world.targets).toEqual(["s-2"]);
    stop();
  });

  it("a replica whose record is gone is let go with the second look", async () => {
    const { clock, world, stop } = follow();
    await clock.advance(1_000);
    world.listed = ["s-1"];
    await clock.advance(1_000);
    expect(world.targets).toEqual(["s-1", "s-2"]);
    await clock.advance(1_000);
    expect(world.targets).toEqual(["s-1"]);
    stop();
  });
});

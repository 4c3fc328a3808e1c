// SPDX-License-Identifier: Apache-2.0
import type { BeatLinkEvent, MonitorEvent } from "@remex/proto/health/v1";
import { createFakeClock } from "@remex/runtime/testing";
import type { FrameLink } from "@remex/transport";
import { describe, expect, it } from "vitest";
import { createRegistryView } from "./registry-view.ts";

function linkOf() {
  const { promise: closed, resolve } = Promise.withResolvers<never>();
  const link = { quiet: 0, quietMs: () => link.quiet, open: true, closed, close: resolve };
  return link as typeof link & FrameLink<BeatLinkEvent, MonitorEvent>;
}

describe("what a monitor hears", () => {
  it("PROTOCOL-L3: every registry with the time since its last frame, until its link ends", async () => {
    const clock = createFakeClock();
    const view = createRegistryView({ replica: "m", clock, listRegistries: async () => ["r1"] });
    const [first, second] = [linkOf(), linkOf()];
    view.named(first, "r1");
    view.named(second, "r2");
    second.quiet = 410.5;
    expect(await view.look()).toEqual({
      monitor: "m",
      heard: { r1: 0, r2: 411 },
      living: ["r1"],
    });
    second.close(undefined as never);
    await second.closed;
    expect((await view.look()).heard).toEqual({ r1: 0 });
  });

  it("PROTOCOL-L3: records are read every second; while they cannot be, there is no view", async () => {
    const clock = createFakeClock();
    let reads = 0;
    const view = createRegistryView({
      ...{ replica: "m", clock },
      listRegistries: async () => {
        reads += 1;
        if (reads === 2) throw new Error("away");
        return [`r${reads}`];
      },
    });
    expect((await view.look()).living).toEqual(["r1"]);
    await clock.advance(999);
    expect((await view.look()).living).toEqual(["r1"]);
    await clock.advance(1);
    await expect(view.look()).rejects.toThrow("away");
    expect((await view.look()).living).toEqual(["r3"]);
  });
});

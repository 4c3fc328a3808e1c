// SPDX-License-Identifier: Apache-2.0
// A registry whose store has lost sessions, or is older than what its agents have seen.
import { ensureEpoch } from "@remex/store";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createFakeAgent, type FakeAgent, goodHello } from "./fake-agent.ts";
import { type Fixture, startFixture } from "./fixture.ts";

const claimed: number[] = [];
let fixture: Fixture;
let agent: FakeAgent;

beforeAll(async () => {
  fixture = await startFixture({ claimEpoch: (epoch) => claimed.push(epoch) });
});
afterAll(() => fixture.stop());
beforeEach(() => {
  agent = createFakeAgent(fixture.target);
});
afterEach(() => agent.close());

describe("lost sessions", () => {
  it("PROTOCOL-I9 D2: an agent that has seen a greater epoch than the store's is told to come back, and the claim is passed on", async () => {
    const epoch = Number(fixture.store.epoch.current());
    const hello = goodHello("ahead", { epochSeen: BigInt(epoch + 7) });
    const error = await agent.open("good", hello).ended;
    expect(error).toMatchObject({
      code: "epoch_behind",
      connectCode: "unavailable",
      retryable: true,
    });
    expect(claimed).toEqual([epoch + 7]);
    await agent.open("good", goodHello("ahead", { epochSeen: BigInt(epoch) })).welcome();
  });

  it("PROTOCOL-D2 D6: a session that the store has lost is ended as soon as the deployment is in effect again, not before", async () => {
    const stream = agent.open("good", goodHello("forgotten"));
    await stream.welcome();
    await fixture.store.redis.flushall();
    await ensureEpoch(fixture.store.redis, fixture.store.epoch);
    fixture.registry.storeChanged();
    // Without a deployment in effect it could not come back. Each hello takes longer than the sweep did.
    for (const name of ["early", "earlier", "earliest"]) {
      const early = await agent.open("good", goodHello(name)).ended;
      expect(early).toMatchObject({ code: "settings_not_in_effect" });
    }
    expect(stream.heard.some(({ event }) => event.case === "sessionEnded")).toBe(false);
    await fixture.project({});
    fixture.registry.storeChanged();
    expect(await stream.hear("sessionEnded")).toMatchObject({ reason: "session_unknown" });
    const again = await agent.open("good", goodHello("forgotten")).welcome();
    expect(String(again.session?.epoch)).toBe(fixture.store.epoch.current());
  });
});

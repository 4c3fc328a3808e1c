// SPDX-License-Identifier: Apache-2.0
// Proves that revocations are followed over broken and silent streams, and tried until they are taken.
import { create } from "@bufbuild/protobuf";
import {
  type WatchRevocationsResponse,
  WatchRevocationsResponseSchema,
} from "@remex/proto/token/v1";
import { createSilentLogger } from "@remex/runtime";
import { createFakeClock } from "@remex/runtime/testing";
import { describe, expect, it } from "vitest";
import { createTokenWatch } from "./token-watch.ts";

type Feed = (signal: AbortSignal) => AsyncIterable<WatchRevocationsResponse>;

const revoked = (token: string) =>
  create(WatchRevocationsResponseSchema, {
    revocations: [
      { credential: { case: "agentToken", value: token }, deployment: "dep", reason: "revoked" },
      { credential: { case: "operatorKey", value: "k" }, deployment: "dep", reason: "revoked" },
    ],
  });

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));

function start(feeds: Feed[], onEnded = async (): Promise<void> => undefined) {
  const clock = createFakeClock();
  const ended: string[] = [];
  const ups: boolean[] = [];
  let dials = 0;
  const watch = createTokenWatch({
    clock,
    log: createSilentLogger(),
    random: () => 0.5,
    watch: (signal) => (feeds[dials++] ?? feeds.at(-1) ?? failing)(signal),
    onUp: (up) => ups.push(up),
    onEnded: async (deployment, token, reason) => {
      ended.push(`${deployment} ${token} ${reason}`);
      await onEnded();
    },
  });
  watch.start();
  return { clock, ended, ups, watch, dials: () => dials };
}

const failing: Feed = () => {
  throw new Error("refused");
};

describe("following revocations", () => {
  it("PROTOCOL-L7: hands on agent tokens alone, and dials again when the stream breaks", async () => {
    const first: Feed = async function* () {
      yield revoked("tok1");
    };
    const second: Feed = async function* (signal) {
      yield revoked("tok2");
      await untilAborted(signal);
    };
    const { clock, ended, ups, watch, dials } = start([first, second]);
    await clock.advance(200);
    expect(ended).toEqual(["dep tok1 token_revoked", "dep tok2 token_revoked"]);
    expect(ups).toEqual([true, false, true]);
    expect(dials()).toBe(2);
    watch.stop();
  });

  it("PROTOCOL-L7: gives a silent stream up after 6 s", async () => {
    const silent: Feed = async function* (signal) {
      yield create(WatchRevocationsResponseSchema);
      await untilAborted(signal);
    };
    const { clock, watch, dials } = start([silent]);
    await clock.advance(5_900);
    expect(dials()).toBe(1);
    await clock.advance(400);
    expect(dials()).toBe(2);
    watch.stop();
    await clock.advance(10_000);
    expect(clock.pendingTimers()).toBe(0);
  });

  it("PROTOCOL-L7: what the store did not take is tried again until it does", async () => {
    let failures = 2;
    const once: Feed = async function* (signal) {
      yield revoked("tok1");
      await untilAborted(signal);
    };
    const { clock, ended, watch } = start([once], async () => {
      failures -= 1;
      if (failures >= 0) throw new Error("the store is away");
    });
    await clock.advance(900);
    expect(ended).toHaveLength(1);
    await clock.advance(3_000);
    expect(ended).toHaveLength(3);
    watch.stop();
  });
});

// SPDX-License-Identifier: Apache-2.0
import { create } from "@bufbuild/protobuf";
import { AgentBeatSchema, type MonitorEvent } from "@remex/proto/health/v1";
import { expect, test } from "vitest";
import { createBeatBatcher } from "./beat-batcher.ts";

test("PROTOCOL-D2 L1: an acknowledgement names the epoch in which its lease was renewed, not one that began meanwhile", async () => {
  let epoch = "100";
  const said: MonitorEvent[] = [];
  const answered = Promise.withResolvers<void>();
  const batcher = createBeatBatcher({
    epoch: () => epoch,
    renew: async () => {
      // The store was replaced while the call was under way: what was renewed is lost.
      epoch = "200";
      const answer = { kind: "taken", sequence: 1, health: "HEALTHY", reason: "", changed: false };
      return { kind: "renewed", intervalVersion: 1, answers: [answer as never] };
    },
    onVerdicts: () => undefined,
    onFailure: (_deployment, error) => answered.reject(error),
    onIdleBeat: () => undefined,
  });
  const source = {
    send: (events: readonly MonitorEvent[]) => {
      said.push(...events);
      answered.resolve();
    },
  };
  const beat = create(AgentBeatSchema, {
    deployment: "dep",
    agent: "a",
    session: { epoch: 100n, number: 1n },
    generation: 1n,
    beat: { sequence: 1n },
  });
  batcher.add(source, [beat]);
  await answered.promise;
  expect(said[0]?.event.case === "acknowledged" && said[0].event.value.ack?.epoch).toBe(100n);
});

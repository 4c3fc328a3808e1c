// SPDX-License-Identifier: Apache-2.0
// Proves that payloads count in the weight of events, by which frames are split and queues bounded.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { AgentEventSchema, ServerEventSchema } from "@remex/proto/agent/v1";
import { describe, expect, it } from "vitest";
import { roughBytesOf, roughSaidBytesOf } from "./rough-bytes.ts";

const large = new Uint8Array(100_000);

describe("the weight of events", () => {
  it.each<[string, MessageInitShape<typeof AgentEventSchema>["event"] & object]>([
    ["a trigger's event", { case: "triggerEvent", value: { payload: large } }],
    ["a result", { case: "report", value: { outcome: { result: large } } }],
  ])("has %s in it", (_, event) => {
    expect(roughSaidBytesOf([create(AgentEventSchema, { event })])).toBeGreaterThan(large.length);
  });

  it("has the secrets of an offered trigger in it", () => {
    const work = { case: "trigger" as const, value: { secretPayload: large } };
    const offer = { case: "offer" as const, value: { spec: { work } } };
    expect(roughBytesOf([create(ServerEventSchema, { event: offer })])).toBeGreaterThan(
      large.length,
    );
  });
});

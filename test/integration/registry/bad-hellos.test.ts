// SPDX-License-Identifier: Apache-2.0
// Everything that can be wrong with a hello, over real sockets: each has an error of its own.
import { create } from "@bufbuild/protobuf";
import { Metadata } from "@grpc/grpc-js";
import { remexError } from "@remex/domain";
import { AgentEventSchema, SessionRequestSchema } from "@remex/proto/agent/v1";
import { AgentKind } from "@remex/proto/common/v1";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createFakeAgent, type FakeAgent, goodHello, type HelloInit } from "./fake-agent.ts";
import { type Fixture, startFixture } from "./fixture.ts";

let fixture: Fixture;
let agent: FakeAgent;
let count = 0;
let name: string;

beforeAll(async () => {
  fixture = await startFixture();
});
afterAll(() => fixture.stop());
beforeEach(() => {
  count += 1;
  name = `agent-${count}`;
  agent = createFakeAgent(fixture.target);
});
afterEach(() => agent.close());

describe("bad hellos", () => {
  const bad: [string, HelloInit, string, string][] = [
    [
      "a protocol that is too old",
      { protocolMin: 0, protocolMax: 0 },
      "protocol_version_unsupported",
      "failed_precondition",
    ],
    [
      "a protocol that is too new",
      { protocolMin: 7, protocolMax: 9 },
      "protocol_version_unsupported",
      "failed_precondition",
    ],
    ["an unknown kind", { kind: 77 as AgentKind }, "kind_unknown", "invalid_argument"],
    ["no kind", { kind: AgentKind.UNSPECIFIED }, "kind_unknown", "invalid_argument"],
    [
      "a name that is too long",
      { agent: "a".repeat(64) },
      "agent_name_invalid",
      "invalid_argument",
    ],
    [
      "an unknown queue",
      { capabilities: { queues: ["nowhere"], slots: 1 } },
      "queue_unknown",
      "not_found",
    ],
    [
      "no queue",
      { capabilities: { queues: [], slots: 1 } },
      "capabilities_invalid",
      "invalid_argument",
    ],
    [
      "too many slots",
      { capabilities: { queues: ["default"], slots: 100_001 } },
      "capabilities_invalid",
      "invalid_argument",
    ],
    ["a short instance", { instance: new Uint8Array(3) }, "argument_invalid", "invalid_argument"],
  ];
  it.each(bad)("R8: %s is refused with its own error", async (_, change, code, connectCode) => {
    const error = await agent.open("good", goodHello(name, change)).ended;
    expect(error).toMatchObject({ code, connectCode });
    expect(error?.message).toMatch(/^[a-z]/);
  });

  it.each([
    ["unknown", "nobody", "token_refused"],
    ["expired", "expired", "token_expired"],
    ["revoked", "revoked", "token_revoked"],
  ] as const)("R8: an %s token is refused", async (_, token, code) => {
    fixture.tokens.set("expired", remexError("token_expired"));
    fixture.tokens.set("revoked", remexError("token_revoked"));
    const error = await agent.open(token, goodHello(name)).ended;
    expect(error).toMatchObject({ code, connectCode: "unauthenticated" });
  });

  it("R8: no token, and SEC-T10 one that does not allow the kind", async () => {
    const silent = agent.stream(new Metadata());
    const event = create(AgentEventSchema, { event: { case: "hello", value: goodHello(name) } });
    silent.call.write(create(SessionRequestSchema, { events: [event] }));
    expect(await silent.ended).toMatchObject({ code: "token_refused" });
    const kinds = [AgentKind.TRIGGERER];
    fixture.tokens.set("triggers", { deployment: "dep", token: "tok00010", kinds });
    expect(await agent.open("triggers", goodHello(name)).ended).toMatchObject({
      code: "token_scope",
      connectCode: "permission_denied",
    });
  });

  it("PROTOCOL-D6: a deployment without projected settings is answered to come back", async () => {
    fixture.tokens.set("elsewhere", { deployment: "elsewhere", token: "tok00011" });
    expect(await agent.open("elsewhere", goodHello(name)).ended).toMatchObject({
      code: "settings_not_in_effect",
      retryable: true,
    });
  });

  it("a first frame that is no hello, or holds more than it, is refused", async () => {
    const metadata = new Metadata();
    const beat = create(AgentEventSchema, { event: { case: "beat", value: {} } });
    const hello = create(AgentEventSchema, { event: { case: "hello", value: goodHello(name) } });
    for (const events of [[beat], [hello, beat], []]) {
      const stream = agent.stream(metadata);
      stream.call.write(create(SessionRequestSchema, { events }));
      expect(await stream.ended).toMatchObject({ code: "frame_invalid" });
    }
  });

  it("SEC-L1: a message over the limit is refused, and the door goes on", async () => {
    const stream = agent.open("good", goodHello(name, { hostname: "x".repeat(1_100_000) }));
    expect((await stream.ended)?.connectCode).toBe("resource_exhausted");
    await agent.open("good", goodHello(name)).welcome();
  });
});

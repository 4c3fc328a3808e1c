// SPDX-License-Identifier: Apache-2.0
// Proves the deadline of the first message on a real socket, with a clock that the test moves.
import { create } from "@bufbuild/protobuf";
import { AgentSessionService, SessionRequestSchema } from "@remex/proto/agent/v1";
import { createReadiness, createSilentLogger, formatAddress } from "@remex/runtime";
import { createFakeClock, type FakeClock } from "@remex/runtime/testing";
import {
  failureFromGrpc,
  type GrpcClient,
  grpcChannelFor,
  grpcClientFor,
  type RunningServer,
} from "@remex/transport";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openAgentsDoor } from "../agents-door.ts";
import { helloDeadlineMs } from "./agent-stream.ts";

let clock: FakeClock;
let door: RunningServer;
let client: GrpcClient<typeof AgentSessionService>;
let started: PromiseWithResolvers<void>;

beforeEach(async () => {
  clock = createFakeClock();
  started = Promise.withResolvers();
  const log = createSilentLogger();
  const after = clock.after;
  const watched = {
    ...clock,
    after: (delayMs: number, fire: () => void) => {
      started.resolve();
      return after(delayMs, fire);
    },
  };
  door = await openAgentsDoor({
    ...{ clock: watched, log, readiness: createReadiness(), sideCalls: {} },
    listen: { host: "127.0.0.1", port: 0 },
    checkFit: () => undefined,
    stream: {
      ...{ clock: watched, log, registry: "r", epoch: () => "1" },
      open: () => new Promise(() => undefined),
      onLive: () => undefined,
      onEvents: () => undefined,
      onGone: () => undefined,
      onForeignFrame: () => undefined,
      onHelloRefused: () => undefined,
    },
  });
  const url = `http://${formatAddress(door.address)}`;
  client = grpcClientFor(AgentSessionService, grpcChannelFor({ url }));
});
afterEach(async () => {
  client.close();
  await door.close(0);
});

describe("a stream that says no hello", () => {
  it("SEC-L5 SEC-B3: is ended after 5 s", async () => {
    const call = client.session();
    const ended = new Promise((resolve) =>
      call.on("error", (error: unknown) => resolve(failureFromGrpc(error))),
    );
    await started.promise;
    await clock.advance(helloDeadlineMs);
    expect(await ended).toMatchObject({ code: "deadline_passed" });
    expect(clock.pendingTimers()).toBe(0);
  });

  it("is not ended by the deadline once it has said something", async () => {
    const call = client.session();
    const ended = new Promise((resolve) =>
      call.on("error", (error: unknown) => resolve(failureFromGrpc(error))),
    );
    call.write(create(SessionRequestSchema, {}));
    expect(await ended).toMatchObject({ code: "frame_invalid" });
    expect(clock.pendingTimers()).toBe(0);
  });
});

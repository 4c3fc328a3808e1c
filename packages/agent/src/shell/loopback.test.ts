// SPDX-License-Identifier: Apache-2.0
// Proves what the loopback address answers when it cannot, or must not, forward.

import { create } from "@bufbuild/protobuf";
import { Metadata } from "@grpc/grpc-js";
import { remexError } from "@remex/domain";
import { AgentSessionService, ForwardResponseSchema } from "@remex/proto/agent/v1";
import { OnCut } from "@remex/proto/common/v1";
import { createSilentLogger, createSystemClock } from "@remex/runtime";
import { endGrpcStream, grpcChannelFor, grpcClientFor } from "@remex/transport";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FakeRegistry } from "../testing/fake-registry.ts";
import type { SideCalls } from "./forward.ts";
import { Loopback } from "./loopback.ts";

const attempt = { epoch: 1, number: 2 };

describe("the loopback address of tasks", () => {
  let loopback: Loopback;
  let sideCalls: SideCalls | undefined;
  const registry = new FakeRegistry({ heartbeatMs: 1_000 });

  beforeEach(async () => {
    await registry.start();
    const client = grpcClientFor(AgentSessionService, grpcChannelFor({ url: registry.url }));
    sideCalls = { client, metadata: () => new Metadata() };
    loopback = new Loopback({
      log: createSilentLogger(),
      clock: createSystemClock(),
      sideCalls: () => sideCalls,
      book: undefined,
      onKept: () => undefined,
      holdMs: 300,
    });
    await loopback.listen();
  });
  afterEach(async () => {
    await loopback.close();
    sideCalls?.client.close();
    await registry.stop();
  });

  async function call(url: string): Promise<{ status: number; reason: string }> {
    const response = await fetch(url);
    const body = (await response.json()) as { detail: { reason: string } };
    return { status: response.status, reason: body.detail.reason };
  }

  it("SEC-E1: is one attempt's alone, and void when the attempt is over", async () => {
    const mine = loopback.admit("t_a", attempt);
    expect(loopback.admit("t_a", attempt)).toBe(mine);
    expect(loopback.admit("t_b", attempt)).not.toBe(mine);
    expect(new URL(mine).hostname).toBe("127.0.0.1");
    loopback.dismiss("t_a", attempt);
    expect(await call(mine)).toEqual({ status: 404, reason: "unknown_address" });
  });

  it("serves paths under /execution/ alone", async () => {
    const url = new URL(loopback.admit("t_a", attempt));
    url.pathname = url.pathname.replace("/execution/", "/api/v2/dags");
    expect(await call(url.href)).toEqual({ status: 404, reason: "path_not_served" });
  });

  it("answers 503 while the agent is not connected, so that the caller tries again", async () => {
    const url = loopback.admit("t_a", attempt);
    sideCalls?.client.close();
    sideCalls = undefined;
    expect(await call(url)).toEqual({ status: 503, reason: "not_connected" });
  });

  it.each([
    [remexError("attempt_not_current", { task: "t_a", attempt: "1.2" }), 409],
    [remexError("airflow_api_missing", { deployment: "default" }), 502],
    [remexError("session_key_refused"), 503],
  ])("PROTOCOL-E1: %s is answered as %s", async (error, status) => {
    registry.forward = (forwarded) => endGrpcStream(forwarded, error);
    const answer = await call(loopback.admit("t_a", attempt));
    expect(answer).toEqual({ status, reason: error.failure.code });
  });

  const put = (url: string, path: string) =>
    fetch(new URL(path, url), { method: "PUT", body: "x" });

  it("PROTOCOL-E2: cut off, a heartbeat is answered under CONTINUE and not under ABORT", async () => {
    const goesOn = loopback.admit("t_a", attempt, OnCut.CONTINUE);
    const aborts = loopback.admit("t_b", attempt, OnCut.ABORT);
    await registry.stop();
    expect((await put(goesOn, "task-instances/1/heartbeat")).status).toBe(204);
    expect((await put(aborts, "task-instances/1/heartbeat")).status).toBe(503);
    sideCalls?.client.close();
    sideCalls = undefined;
    expect((await put(goesOn, "task-instances/1/heartbeat")).status).toBe(204);
    expect((await put(aborts, "task-instances/1/heartbeat")).status).toBe(503);
  });

  it("PROTOCOL-E2: Airflow's verdict on a heartbeat reaches the task while there is contact", async () => {
    registry.forward = (call) => {
      call.on("data", () => undefined);
      call.write(create(ForwardResponseSchema, { part: { case: "head", value: { status: 409 } } }));
      call.end();
    };
    const url = loopback.admit("t_a", attempt, OnCut.CONTINUE);
    expect((await put(url, "task-instances/1/heartbeat")).status).toBe(409);
  });

  it("PROTOCOL-E1: a question is held open until there is contact, up to a limit", async () => {
    const there = sideCalls;
    sideCalls = undefined;
    registry.forward = (call) => {
      call.on("data", () => undefined);
      call.write(create(ForwardResponseSchema, { part: { case: "head", value: { status: 200 } } }));
      call.end();
    };
    const held = fetch(loopback.admit("t_a", attempt));
    // The next look for contact finds it.
    sideCalls = there;
    expect((await held).status).toBe(200);
    sideCalls = undefined;
    expect((await fetch(loopback.admit("t_a", attempt))).status).toBe(503);
    sideCalls = there;
  });

  it("answers 503 when the registry is gone", async () => {
    await registry.stop();
    expect((await call(loopback.admit("t_a", attempt))).status).toBe(503);
  });
});

// SPDX-License-Identifier: Apache-2.0
// Carries one HTTP request over the session's Forward call and its answer back, chunk by chunk.

import type { IncomingMessage, ServerResponse } from "node:http";
import { create } from "@bufbuild/protobuf";
import type { ClientDuplexStream, Metadata } from "@grpc/grpc-js";
import { type Failure, hopHeaders, type NumberedRef, refToWire } from "@remex/domain";
import {
  type ForwardRequest,
  ForwardRequestSchema,
  type ForwardResponse,
  type ForwardResponseHead,
} from "@remex/proto/agent/v1";
import type { Logger } from "@remex/runtime";
import { failureFromGrpc } from "@remex/transport";
import type { AgentClient } from "./session-stream.ts";

/** The session's connection, for as long as it is open. */
export interface SideCalls {
  readonly client: AgentClient;
  readonly metadata: () => Metadata;
}

export interface Forwarding {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
  readonly task: string;
  readonly attempt: NumberedRef;
  readonly sideCalls: SideCalls;
  readonly log: Logger;
  /** Gives the call up. */
  readonly signal: AbortSignal;
  /** Takes a call without a body that found nobody; absent when it is to be answered 503. */
  readonly onUnavailable: (() => void) | undefined;
}

type ForwardCall = ClientDuplexStream<ForwardRequest, ForwardResponse>;

const chunkBytes = 65_536;

/** Longer than any call of the Task SDK waits; a call without an answer does not live for ever. */
const forwardLimitMs = 120_000;

export function forwardRequest(forwarding: Forwarding): void {
  const { response, sideCalls, log, task, signal } = forwarding;
  const call = sideCalls.client.forward({
    metadata: sideCalls.metadata(),
    timeoutMs: forwardLimitMs,
  });
  const giveUp = () => call.cancel();
  signal.addEventListener("abort", giveUp, { once: true });
  call.once("close", () => signal.removeEventListener("abort", giveUp));
  receive(call, response);
  call.on("error", (error) => {
    const { failure } = failureFromGrpc(error);
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    log.debug({ task, reason: failure.message }, "forwarded call failed");
    const { onUnavailable } = forwarding;
    if (onUnavailable !== undefined && statusFor(failure) === 503) onUnavailable();
    else answer(response, statusFor(failure), failure.code, failure.message);
  });
  // The task went away before it had its answer: nobody needs the rest.
  response.once("close", () => {
    if (!response.writableFinished) call.cancel();
  });
  void send(call, forwarding).catch((err) => {
    log.debug({ task, err }, "request of a task broke off");
    call.cancel();
  });
}

async function send(call: ForwardCall, forwarding: Forwarding): Promise<void> {
  const { request, path, task, attempt } = forwarding;
  const headers = Object.entries(request.headersDistinct).flatMap(([name, values]) =>
    hopHeaders.has(name) ? [] : (values ?? []).map((value) => ({ name, value })),
  );
  const head = {
    task,
    attempt: refToWire(attempt),
    method: request.method ?? "GET",
    path,
    headers,
  };
  await write(call, create(ForwardRequestSchema, { part: { case: "head", value: head } }));
  for await (const piece of request as AsyncIterable<Buffer>) {
    for (let from = 0; from < piece.length; from += chunkBytes) {
      const value = piece.subarray(from, from + chunkBytes);
      await write(call, create(ForwardRequestSchema, { part: { case: "body", value } }));
    }
  }
  call.end();
}

/** Waits while the far side is behind, so that a large body never piles up here. */
async function write(call: ForwardCall, part: ForwardRequest): Promise<void> {
  if (call.write(part) || call.destroyed) return;
  await new Promise<void>((resolve) => {
    call.once("drain", resolve);
    call.once("close", resolve);
    call.once("error", () => resolve());
  });
}

function receive(call: ForwardCall, response: ServerResponse): void {
  call.on("data", ({ part }: ForwardResponse) => {
    if (part.case === "head") {
      response.writeHead(part.value.status, headersOf(part.value));
    } else if (part.case === "body" && !response.write(part.value)) {
      call.pause();
      response.once("drain", () => call.resume());
    }
  });
  call.on("end", () => {
    // An end without a head is followed by the call's error, which is answered then.
    if (response.headersSent) response.end();
  });
}

function headersOf(head: ForwardResponseHead): string[] {
  return head.headers
    .filter(({ name }) => !hopHeaders.has(name.toLowerCase()))
    .flatMap(({ name, value }) => [name, value]);
}

/** What the Task SDK is told: 409 ends a task that is not current any more, 503 is tried again. */
export function statusFor(failure: Failure): number {
  if (failure.code === "attempt_not_current") return 409;
  switch (failure.connectCode) {
    case "deadline_exceeded":
      return 504;
    case "unavailable":
    case "canceled":
    case "unauthenticated":
    case "resource_exhausted":
      return 503;
    default:
      return failure.retryable || failure.code === "session_ended" ? 503 : 502;
  }
}

/** An error in the form of Airflow's API. */
export function answer(
  response: ServerResponse,
  status: number,
  reason: string,
  message: string,
): void {
  const body = JSON.stringify({ detail: { reason, message } });
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    ...(status === 503 ? { "retry-after": "1" } : {}),
  });
  response.end(body);
}

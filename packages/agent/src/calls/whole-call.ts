// SPDX-License-Identifier: Apache-2.0
// Makes one call over the session's Forward with its body at hand, so that it can be kept when that fails.

import { create } from "@bufbuild/protobuf";
import { type Failure, failureOf, hopHeaders, refToWire } from "@remex/domain";
import { ForwardRequestSchema, type ForwardResponse } from "@remex/proto/agent/v1";
import { failureFromGrpc } from "@remex/transport";
import type { SideCalls } from "../shell/forward.ts";
import type { CallerName, KeptCall } from "./call-book.ts";

/** What became of a call. */
export type WholeAnswer =
  | {
      readonly kind: "answered";
      readonly status: number;
      readonly headers: readonly { readonly name: string; readonly value: string }[];
      readonly body: Buffer;
    }
  | { readonly kind: "failed"; readonly failure: Failure };

const chunkBytes = 65_536;

/** Resolves when the call was answered or has failed; `signal` gives it up. */
export function forwardWhole(
  sideCalls: SideCalls,
  { task, attempt }: CallerName,
  kept: KeptCall,
  limitMs: number,
  signal: AbortSignal,
): Promise<WholeAnswer> {
  const call = sideCalls.client.forward({ metadata: sideCalls.metadata(), timeoutMs: limitMs });
  const { promise, resolve } = Promise.withResolvers<WholeAnswer>();
  const pieces: Buffer[] = [];
  let head: Extract<ForwardResponse["part"], { case: "head" }>["value"] | undefined;
  const giveUp = () => call.cancel();
  signal.addEventListener("abort", giveUp, { once: true });
  call.on("data", ({ part }: ForwardResponse) => {
    if (part.case === "head") head = part.value;
    else if (part.case === "body") pieces.push(Buffer.from(part.value));
  });
  call.on("error", (error) => {
    resolve({ kind: "failed", failure: failureFromGrpc(error).failure });
  });
  call.on("end", () => {
    // An end without a head is followed by the call's error.
    if (head === undefined) return;
    const headers = head.headers.filter(({ name }) => !hopHeaders.has(name.toLowerCase()));
    resolve({ kind: "answered", status: head.status, headers, body: Buffer.concat(pieces) });
  });
  call.on("close", () => resolve({ kind: "failed", failure: failureOf("store_unavailable", {}) }));
  const value = { task, attempt: refToWire(attempt), ...kept, headers: [...kept.headers] };
  const { body, ...rest } = value;
  call.write(create(ForwardRequestSchema, { part: { case: "head", value: rest } }));
  for (let from = 0; from < body.length; from += chunkBytes) {
    const piece = body.subarray(from, from + chunkBytes);
    call.write(create(ForwardRequestSchema, { part: { case: "body", value: piece } }));
  }
  call.end();
  return promise.finally(() => signal.removeEventListener("abort", giveUp));
}

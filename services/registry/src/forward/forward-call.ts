// SPDX-License-Identifier: Apache-2.0
// Carries one HTTP request of a running attempt to the deployment's Airflow API, and its answer back.
import type { EventEmitter } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { RemexError, remexError } from "@remex/domain";
import {
  type ForwardRequest,
  type ForwardRequestHead,
  type ForwardResponse,
  ForwardResponseSchema,
} from "@remex/proto/agent/v1";
import type { Clock, Logger } from "@remex/runtime";
import type { ProjectedDeployment } from "@remex/store";
import { StoreUnavailable } from "@remex/store";
import type { AuthenticateSideCall, SideCaller } from "../session/side-calls.ts";
import { within } from "../within.ts";
import type { ApiConnections } from "./api-connections.ts";
import type { AttemptGate } from "./attempt-gate.ts";
import { decideForwardTarget, endToEnd, type ForwardTarget } from "./forward-target.ts";

type Call = ServerDuplexStream<ForwardRequest, ForwardResponse>;

export interface ForwardDeps {
  readonly authenticate: AuthenticateSideCall;
  readonly gate: AttemptGate;
  loadConfig(deployment: string): Promise<ProjectedDeployment | undefined>;
  readonly connections: ApiConnections;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How long a call may take to send its first message (SEC-L5). */
const firstMessageMs = 5_000;
/** Largest body of a request; an answer is as large as Airflow makes it. */
export const mostRequestBytes = 64 * 1024 * 1024;
/** Most bytes in one message of an answer. */
const chunkBytes = 65_536;
/** How long the API may be silent. */
const silenceMs = 60_000;

/** Serves AgentSessionService.Forward. */
export function createForward(deps: ForwardDeps): (call: Call) => Promise<void> {
  return async (call) => {
    // The answer is still to be written when the agent has sent its last byte.
    const frames = call.iterator({ destroyOnReturn: false }) as AsyncIterator<ForwardRequest>;
    const head = await headOf(frames, deps.clock);
    const caller = await deps.authenticate(call.metadata);
    const target = await admit(deps, caller, head);
    await exchange(deps, call, target, frames, caller.deployment);
  };
}

async function headOf(
  frames: AsyncIterator<ForwardRequest>,
  clock: Clock,
): Promise<ForwardRequestHead> {
  const first = await within(frames.next(), { clock, limitMs: firstMessageMs });
  const part = first.done === true ? undefined : first.value.part;
  if (part?.case !== "head") {
    throw remexError("frame_invalid", { problem: "a forwarded request begins with its head" });
  }
  return part.value;
}

async function admit(
  deps: ForwardDeps,
  caller: SideCaller,
  head: ForwardRequestHead,
): Promise<ForwardTarget> {
  const { deployment } = caller;
  try {
    await deps.gate(caller, head.task, head.attempt);
    const config = await deps.loadConfig(deployment);
    if (config === undefined) throw remexError("settings_not_in_effect", { deployment });
    if (config.airflowApiUrl === "") throw remexError("airflow_api_missing", { deployment });
    const target = decideForwardTarget(head, config.airflowApiUrl);
    if (!target.ok) throw new RemexError(target.failure);
    return target.value;
  } catch (error) {
    if (error instanceof StoreUnavailable)
      throw remexError("store_unavailable", {}, { cause: error });
    throw error;
  }
}

function exchange(
  deps: ForwardDeps,
  call: Call,
  target: ForwardTarget,
  frames: AsyncIterator<ForwardRequest>,
  deployment: string,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const secure = target.url.protocol === "https:";
  const send = secure ? httpsRequest : httpRequest;
  const outgoing = send(target.url, {
    method: target.method,
    headers: target.headers,
    agent: secure ? deps.connections.https : deps.connections.http,
    timeout: silenceMs,
  });
  let answered = false;
  outgoing.on("response", (incoming) => {
    answered = true;
    answer(call, incoming).then(resolve, (cause: unknown) => {
      const problem = "it broke off in the middle of its answer";
      if (call.cancelled) resolve();
      else reject(remexError("airflow_api_unreachable", { deployment, problem }, { cause }));
    });
  });
  outgoing.on("timeout", () => outgoing.destroy(new SilentApi()));
  outgoing.on("error", (error) => {
    if (answered || call.cancelled) return;
    deps.log.warn({ deployment, err: error }, "the Airflow API did not answer");
    answerProblem(call, deployment, error);
    resolve();
  });
  call.on("cancelled", () => outgoing.destroy());
  sendBody(frames, outgoing).catch((error: unknown) => {
    outgoing.destroy();
    // An agent that gave its call up needs no answer.
    if (call.cancelled) resolve();
    else reject(error);
  });
  return promise;
}

class SilentApi extends Error {}

async function sendBody(
  frames: AsyncIterator<ForwardRequest>,
  outgoing: ReturnType<typeof httpRequest>,
): Promise<void> {
  let sent = 0;
  for (let next = await frames.next(); next.done !== true; next = await frames.next()) {
    const { part } = next.value;
    if (part.case !== "body") {
      throw remexError("frame_invalid", { problem: "a head came after the first message" });
    }
    sent += part.value.length;
    if (sent > mostRequestBytes) throw remexError("message_too_large", { limit: mostRequestBytes });
    if (!outgoing.write(part.value)) await whenOpen(outgoing, ["drain", "close"]);
  }
  outgoing.end();
}

async function answer(call: Call, incoming: IncomingMessage): Promise<void> {
  const headers = rawHeaders(incoming);
  await write(call, {
    case: "head",
    value: { status: incoming.statusCode ?? 502, headers: endToEnd(headers) },
  });
  for await (const bytes of incoming as AsyncIterable<Buffer>) {
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      await write(call, { case: "body", value: bytes.subarray(at, at + chunkBytes) });
    }
  }
  call.end();
}

/**
 * An API that is away is answered as a gateway would, not as a broken call: Airflow's own client tries
 * a 502 or 504 again, and its supervisor's patience decides.
 */
function answerProblem(call: Call, deployment: string, error: Error): void {
  const status = error instanceof SilentApi ? 504 : 502;
  const problem = status === 504 ? "it did not answer in time" : codeOf(error);
  const { message, failure } = remexError("airflow_api_unreachable", { deployment, problem });
  const body = Buffer.from(JSON.stringify({ detail: { reason: failure.code, message } }));
  const headers = [
    { name: "content-type", value: "application/json" },
    { name: "content-length", value: String(body.length) },
  ];
  call.write(response({ case: "head", value: { status, headers } }));
  call.write(response({ case: "body", value: body }));
  call.end();
}

function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : "the connection broke";
}

type Part = NonNullable<MessageInitShape<typeof ForwardResponseSchema>["part"]>;

function response(part: Part): ForwardResponse {
  return create(ForwardResponseSchema, { part });
}

async function write(call: Call, part: Part): Promise<void> {
  if (!call.write(response(part))) await whenOpen(call, ["drain", "cancelled", "close"]);
}

/** Waits for the first of these events. */
function whenOpen(emitter: EventEmitter, events: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of events) emitter.off(event, done);
      resolve();
    };
    for (const event of events) emitter.on(event, done);
  });
}

function rawHeaders(incoming: IncomingMessage): { name: string; value: string }[] {
  const raw = incoming.rawHeaders;
  const headers: { name: string; value: string }[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    headers.push({ name: raw[at] ?? "", value: raw[at + 1] ?? "" });
  }
  return headers;
}

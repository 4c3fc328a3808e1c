// SPDX-License-Identifier: Apache-2.0
// The loopback address that Airflow's Task SDK talks to: each request is forwarded over the session.

import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { formatRef, hopHeaders, type NumberedRef } from "@remex/domain";
import { OnCut } from "@remex/proto/common/v1";
import { type Clock, type Logger, sleep } from "@remex/runtime";
import {
  type CallBook,
  type CallerName,
  type KeptCall,
  mostKeptBytes,
} from "../calls/call-book.ts";
import { classifyCall, type ExecutionCall } from "../calls/execution-call.ts";
import { forwardWhole, type WholeAnswer } from "../calls/whole-call.ts";
import { answer, forwardRequest, type SideCalls, statusFor } from "./forward.ts";

export interface LoopbackOptions {
  readonly log: Logger;
  readonly clock: Clock;
  /** Undefined while the agent is cut off. */
  readonly sideCalls: () => SideCalls | undefined;
  /** Where calls wait while the agent is cut off; without it none does. */
  readonly book: CallBook | undefined;
  /** A call of an attempt waits there. */
  readonly onKept: (name: CallerName) => void;
  /** How long a question is held open. */
  readonly holdMs: number;
}

/** How often a held question looks for contact. */
const lookEveryMs = 100;
/** A heartbeat that finds no answer for so long counts as cut off; its caller waits 45 s. */
const beatLimitMs = 10_000;
const keepLimitMs = 30_000;

interface Guest {
  readonly task: string;
  readonly attempt: NumberedRef;
  readonly onCut: OnCut;
}

/** One request of a guest. */
interface Visit {
  readonly guest: Guest;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
}

/**
 * Listens on loopback alone, on a port that the system chooses. Each running attempt has a secret in its
 * address, so a task reaches the API as itself only; when the attempt is over, its secret is void.
 */
export class Loopback {
  readonly #options: LoopbackOptions;
  readonly #server: Server;
  readonly #guests = new Map<string, Guest>();
  readonly #secrets = new Map<string, string>();
  #port = 0;
  #cut = new AbortController();

  constructor(options: LoopbackOptions) {
    this.#options = options;
    this.#server = createServer({ headersTimeout: 10_000 }, (request, response) =>
      this.#serve(request, response),
    );
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(0, "127.0.0.1", resolve);
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** The base URL of an attempt; the same one when it is asked for again. */
  admit(task: string, attempt: NumberedRef, onCut: OnCut = OnCut.CONTINUE): string {
    const key = `${task}/${formatRef(attempt)}`;
    let secret = this.#secrets.get(key);
    if (secret === undefined) {
      secret = randomBytes(24).toString("base64url");
      this.#secrets.set(key, secret);
      this.#guests.set(secret, { task, attempt, onCut });
    }
    return `http://127.0.0.1:${this.#port}/${secret}/execution/`;
  }

  /** The attempt is over. */
  dismiss(task: string, attempt: NumberedRef): void {
    if (this.#secrets.size === 0) return;
    const key = `${task}/${formatRef(attempt)}`;
    const secret = this.#secrets.get(key);
    if (secret === undefined) return;
    this.#secrets.delete(key);
    this.#guests.delete(secret);
  }

  /** Contact is lost: calls under way find nobody any more. */
  noteCut(): void {
    this.#cut.abort();
    this.#cut = new AbortController();
  }

  async close(): Promise<void> {
    this.#cut.abort();
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const [, secret = "", ...rest] = (request.url ?? "/").split("/");
    const guest = this.#guests.get(secret);
    const path = `/${rest.join("/")}`;
    if (guest === undefined) {
      // No word about which attempts there are: the caller may be anybody on this host.
      answer(response, 404, "unknown_address", "this address serves no running attempt");
      return;
    }
    if (!path.startsWith("/execution/")) {
      answer(response, 404, "path_not_served", "only paths under /execution/ are served");
      return;
    }
    this.#forward({ guest, request, response, path }).catch((err) => {
      this.#options.log.warn({ err, task: guest.task }, "a task's call broke off");
      response.destroy();
    });
  }

  async #forward(visit: Visit): Promise<void> {
    const { request, path } = visit;
    const call = classifyCall(request.method ?? "GET", path);
    if (call.kind === "ask") {
      await this.#ask(visit, this.#options.clock.nowMs() + this.#options.holdMs);
      return;
    }
    const body = await readBody(request);
    if (body === undefined) {
      const message = `a body of more than ${mostKeptBytes} bytes is not forwarded`;
      answer(visit.response, 413, "too_large", message);
      return;
    }
    const whole = { method: request.method ?? "", path, headers: headersOf(request), body };
    if (call.kind === "heartbeat") await this.#beat(visit, whole);
    else await this.#keep(visit, whole, call);
  }

  /** A question is held open until there is contact, and what was kept before it has been sent. */
  async #ask(visit: Visit, untilMs: number): Promise<void> {
    const { clock } = this.#options;
    const { guest, request, response, path } = visit;
    while (this.#contact(guest) === undefined && clock.nowMs() < untilMs) {
      await sleep(clock, lookEveryMs);
      if (response.destroyed) return;
    }
    const sideCalls = this.#contact(guest);
    if (sideCalls === undefined) {
      answer(response, 503, "not_connected", "the agent is not connected to the control plane");
      return;
    }
    const again = () => void this.#ask(visit, untilMs).catch(() => response.destroy());
    const mayTryAgain = bodiless.has(request.method ?? "") && clock.nowMs() < untilMs;
    forwardRequest({
      request,
      response,
      path,
      ...guest,
      sideCalls,
      log: this.#options.log,
      signal: this.#cut.signal,
      onUnavailable: mayTryAgain ? () => void clock.after(lookEveryMs, again) : undefined,
    });
  }

  /** E2: cut off under CONTINUE the task is told that it may go on; under ABORT it is told nothing. */
  async #beat({ guest, response }: Visit, whole: KeptCall): Promise<void> {
    const sideCalls = this.#options.sideCalls();
    if (sideCalls !== undefined) {
      const reply = await forwardWhole(sideCalls, guest, whole, beatLimitMs, this.#cut.signal);
      if (relay(response, reply)) return;
    }
    if (guest.onCut === OnCut.ABORT) {
      answer(response, 503, "not_connected", "the agent is not connected to the control plane");
      return;
    }
    response.writeHead(204).end();
  }

  /** E1: what changes something is kept when it cannot be sent, and behind what is kept already. */
  async #keep(
    { guest, response }: Visit,
    whole: KeptCall,
    done: Extract<ExecutionCall, { kind: "keep" }>,
  ): Promise<void> {
    const sideCalls = this.#contact(guest);
    if (sideCalls !== undefined) {
      const reply = await forwardWhole(sideCalls, guest, whole, keepLimitMs, this.#cut.signal);
      if (relay(response, reply)) return;
    }
    const { book, onKept } = this.#options;
    if (book === undefined || !(await book.append(guest, whole))) {
      answer(response, 503, "not_connected", "the agent is not connected to the control plane");
      return;
    }
    onKept(guest);
    const type = { "content-type": "application/json" };
    if (done.body === undefined) response.writeHead(done.status).end();
    else response.writeHead(done.status, type).end(done.body);
  }

  /** The way to Airflow for calls that must not overtake what is kept. */
  #contact(guest: Guest): SideCalls | undefined {
    return this.#options.book?.has(guest) === true ? undefined : this.#options.sideCalls();
  }
}

/** Methods whose requests can be made again. */
const bodiless: ReadonlySet<string> = new Set(["GET", "HEAD"]);

/** Gives an answer on; false when the call found nobody who could answer. */
function relay(response: ServerResponse, reply: WholeAnswer): boolean {
  if (reply.kind === "answered") {
    const headers = reply.headers.flatMap(({ name, value }) => [name, value]);
    response.writeHead(reply.status, headers).end(reply.body);
    return true;
  }
  const status = statusFor(reply.failure);
  if (status === 503 || status === 504) return false;
  answer(response, status, reply.failure.code, reply.failure.message);
  return true;
}

function headersOf(request: IncomingMessage): { name: string; value: string }[] {
  return Object.entries(request.headersDistinct).flatMap(([name, values]) =>
    hopHeaders.has(name) ? [] : (values ?? []).map((value) => ({ name, value })),
  );
}

/** The whole body; undefined when it is too large to be kept. */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > mostKeptBytes) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

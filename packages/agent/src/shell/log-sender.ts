// SPDX-License-Identifier: Apache-2.0
// Answers a LogFetch: reads an attempt's log from an offset, and follows it until the attempt has ended.

import { type FileHandle, open } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import { type Failure, failureOf } from "@remex/domain";
import { type LogFetch, type SendLogRequest, SendLogRequestSchema } from "@remex/proto/agent/v1";
import { type Clock, type Logger, sleep } from "@remex/runtime";
import { errorDetailOf } from "@remex/transport";
import type { SideCalls } from "./forward.ts";

export interface LogRequest {
  readonly fetch: string;
  readonly task: string;
  readonly offset: number;
  /** Undefined for all. */
  readonly limit: number | undefined;
  readonly follow: boolean;
}

/** What a fetch of the contract asks for. */
export function logRequestOf(fetch: LogFetch): LogRequest {
  return {
    fetch: fetch.fetch,
    task: fetch.task,
    offset: Number(fetch.offset),
    limit: fetch.limit === 0n ? undefined : Number(fetch.limit),
    follow: fetch.follow,
  };
}

export interface LogSenderOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly sideCalls: SideCalls;
  /** The log's file; undefined when there is none. */
  readonly path: string | undefined;
  /** True while the attempt may still write. */
  readonly isLive: () => boolean;
}

const chunkBytes = 65_536;
/** How often a log that is followed is looked at. */
const followEveryMs = 200;

type Write = (part: Partial<Omit<SendLogRequest, "$typeName" | "$unknown">>) => Promise<void>;

/** Sends one log; settles when the call is over, however it ended. */
export async function sendLog(request: LogRequest, options: LogSenderOptions): Promise<void> {
  const { sideCalls, log } = options;
  const { call, response } = sideCalls.client.sendLog({ metadata: sideCalls.metadata() });
  const over = new AbortController();
  // The registry ends the call early when nobody reads any more: no error, just the end.
  call.on("error", () => over.abort(new Error("the call ended")));
  const settled = response.then(
    () => over.abort(new Error("the call ended")),
    (err) => {
      log.debug({ err, task: request.task }, "log was not read to its end");
      over.abort(new Error("the call ended"));
    },
  );
  const write: Write = async (part) => {
    over.signal.throwIfAborted();
    const message = create(SendLogRequestSchema, { fetch: request.fetch, ...part });
    if (call.write(message)) return;
    await new Promise<void>((resolve) => {
      call.once("drain", resolve);
      over.signal.addEventListener("abort", () => resolve(), { once: true });
    });
  };
  try {
    await sendParts(request, options, write, over.signal);
  } catch (err) {
    if (!over.signal.aborted) {
      log.warn({ err, task: request.task }, "log cannot be read");
      await write(refusal(request.task, (err as Error).message)).catch(() => undefined);
    }
  }
  call.end();
  await settled;
}

async function sendParts(
  request: LogRequest,
  options: LogSenderOptions,
  write: Write,
  signal: AbortSignal,
): Promise<void> {
  const { path, isLive, clock } = options;
  const file = path === undefined ? undefined : await openLog(path);
  if (file === undefined) {
    await write(refusal(request.task, "the agent has none, or has removed it"));
    return;
  }
  try {
    let offset = request.offset;
    const end = request.limit === undefined ? Number.POSITIVE_INFINITY : offset + request.limit;
    for (;;) {
      // Asked before the read: what was written before the end is then surely read.
      const live = isLive();
      offset = await sendRest(file, offset, end, write);
      if (offset >= end) return;
      if (!live) {
        await write({ offset: BigInt(offset), complete: true });
        return;
      }
      if (!request.follow) return;
      await sleep(clock, followEveryMs, signal);
    }
  } finally {
    await file.close();
  }
}

/** Sends what there is now; gives the offset after it. */
async function sendRest(
  file: FileHandle,
  from: number,
  end: number,
  write: Write,
): Promise<number> {
  let offset = from;
  while (offset < end) {
    const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, end - offset));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
    if (bytesRead === 0) break;
    await write({ offset: BigInt(offset), data: buffer.subarray(0, bytesRead) });
    offset += bytesRead;
  }
  return offset;
}

async function openLog(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function refusal(task: string, reason: string): { error: SendLogRequest["error"] } {
  const failure: Failure = failureOf("log_unknown", { task, reason });
  return { error: errorDetailOf(failure) as SendLogRequest["error"] };
}

// SPDX-License-Identifier: Apache-2.0
// What triggers reach outside of the runner: one request, one look at a path.

import { stat } from "node:fs/promises";
import type { HttpTrigger } from "@remex/domain";

/** The world of the triggers. */
export interface TriggerIo {
  /** One request; rejects when there is no answer in time, or `signal` is aborted. */
  ask(request: HttpTrigger, signal: AbortSignal): Promise<HttpAnswer>;
  /** Size of what is at the path; undefined when nothing is, or nothing that can be seen. */
  look(path: string): Promise<number | undefined>;
}

export interface HttpAnswer {
  readonly status: number;
  /** The beginning of the body, so much as conditions look at. */
  readonly body: string;
}

const mostBodyBytes = 65_536;

/** The real world. */
export function createTriggerIo(): TriggerIo {
  return { ask, look };
}

async function ask(request: HttpTrigger, signal: AbortSignal): Promise<HttpAnswer> {
  const { url, headers, requestTimeoutMs } = request;
  const response = await fetch(url, {
    headers,
    redirect: "manual",
    signal: AbortSignal.any([signal, AbortSignal.timeout(requestTimeoutMs)]),
  });
  return { status: response.status, body: await readBeginning(response) };
}

async function readBeginning(response: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop cancels the rest of the body.
  for await (const piece of response.body ?? []) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes >= mostBodyBytes) break;
  }
  return Buffer.concat(pieces).subarray(0, mostBodyBytes).toString("utf8");
}

async function look(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch {
    // Not there, or behind a folder that may not be read: either way it is not there yet for us.
    return undefined;
  }
}

// SPDX-License-Identifier: Apache-2.0
// Reads the history of changes by cursor, and lets readers wait for the next one.

import { remexError } from "@remex/domain";
import type { Clock } from "@remex/runtime";
import type { ChangeEntry, TaskChangeRow, TaskRefused, TaskStore } from "@remex/store";

/** A part of the history. */
export interface ChangePage {
  readonly kind: "page";
  readonly changes: readonly TaskChangeRow[];
  readonly cursor: string;
  readonly reset: boolean;
  /** How often changes had been signalled when the read began, for `changed`. */
  readonly signals: number;
}

export interface ChangeFeed {
  /** Reads at most `limit` changes after a cursor ("" for the newest position). */
  read(deployment: string, cursor: string, limit: number): Promise<ChangePage | TaskRefused>;
  /** Settles when something was signalled after that read began, or after `waitMs`. */
  changed(
    deployment: string,
    page: Pick<ChangePage, "signals">,
    waitMs: number,
    signal?: AbortSignal,
  ): Promise<void>;
  /** Changes of a deployment were written, here or elsewhere. */
  note(deployment: string): void;
}

/** A reader looks by itself at least so often: a lost signal costs no more. */
const lookEveryMs = 1_000;
/** Entries of one call; one entry holds the changes of one batch. */
const mostEntries = 200;

/** A place in the history: "<epoch>.<entry>", and "+<changes>" where a page ended within an entry. */
interface Cursor {
  readonly epoch: string;
  readonly position: string;
  readonly taken: number;
}

const cursorPattern = /^(\d+)\.(\d+-\d+)(?:\+(\d+))?$/;

function parseCursor(text: string): Cursor {
  const match = cursorPattern.exec(text);
  if (match === null) throw remexError("cursor_invalid");
  return { epoch: match[1] ?? "", position: match[2] ?? "", taken: Number(match[3] ?? 0) };
}

export function createChangeFeed(deps: {
  readonly tasks: Pick<TaskStore, "readChanges">;
  epoch(): string;
  readonly clock: Clock;
}): ChangeFeed {
  const waiting = new Map<string, Set<() => void>>();
  const signalled = new Map<string, number>();

  async function read(
    deployment: string,
    text: string,
    limit: number,
  ): Promise<ChangePage | TaskRefused> {
    const epoch = deps.epoch();
    const signals = signalled.get(deployment) ?? 0;
    const cursor = text === "" ? undefined : parseCursor(text);
    const known = cursor !== undefined && cursor.epoch === epoch;
    const after = known ? positionBefore(cursor) : "";
    const reply = await deps.tasks.readChanges({ deployment, after, most: mostEntries });
    if (reply.kind === "refused") return reply;
    const lost = known && isBefore(cursor.position, reply.trimmedTo);
    if (cursor === undefined || !known || lost) {
      const newest = `${epoch}.${reply.newest}`;
      return { kind: "page", changes: [], cursor: newest, reset: cursor !== undefined, signals };
    }
    return { kind: "page", reset: false, signals, ...pageOf(epoch, cursor, reply.entries, limit) };
  }

  function changed(
    deployment: string,
    { signals }: Pick<ChangePage, "signals">,
    waitMs: number,
    signal?: AbortSignal,
  ): Promise<void> {
    if ((signalled.get(deployment) ?? 0) > signals) return Promise.resolve();
    return new Promise((resolve) => {
      const waiters = waiting.get(deployment) ?? new Set();
      waiting.set(deployment, waiters);
      const done = (): void => {
        cancel();
        signal?.removeEventListener("abort", done);
        waiters.delete(done);
        if (waiters.size === 0) waiting.delete(deployment);
        resolve();
      };
      const cancel = deps.clock.after(Math.min(waitMs, lookEveryMs), done);
      waiters.add(done);
      if (signal?.aborted) done();
      else signal?.addEventListener("abort", done, { once: true });
    });
  }

  return {
    read,
    changed,
    note(deployment) {
      signalled.set(deployment, (signalled.get(deployment) ?? 0) + 1);
      for (const wake of [...(waiting.get(deployment) ?? [])]) wake();
    },
  };
}

/** The function reads after a position, so an entry that was taken in part is read again. */
function positionBefore({ position, taken }: Cursor): string {
  if (taken === 0) return position;
  const [ms = "0", number = "0"] = position.split("-");
  if (number !== "0") return `${ms}-${Number(number) - 1}`;
  return `${Number(ms) - 1}-${Number.MAX_SAFE_INTEGER}`;
}

function isBefore(position: string, other: string): boolean {
  if (other === "") return false;
  const [ms = 0, number = 0] = position.split("-").map(Number);
  const [otherMs = 0, otherNumber = 0] = other.split("-").map(Number);
  return ms < otherMs || (ms === otherMs && number < otherNumber);
}

function pageOf(
  epoch: string,
  cursor: Cursor,
  entries: readonly ChangeEntry[],
  limit: number,
): { readonly changes: readonly TaskChangeRow[]; readonly cursor: string } {
  const changes: TaskChangeRow[] = [];
  let next = `${epoch}.${cursor.position}${cursor.taken === 0 ? "" : `+${cursor.taken}`}`;
  for (const entry of entries) {
    const skip = entry.position === cursor.position ? cursor.taken : 0;
    const part = entry.changes.slice(skip, skip + limit - changes.length);
    changes.push(...part);
    const whole = skip + part.length === entry.changes.length;
    next = `${epoch}.${entry.position}${whole ? "" : `+${skip + part.length}`}`;
    if (!whole || changes.length === limit) break;
  }
  return { changes, cursor: next };
}

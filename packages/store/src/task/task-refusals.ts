// SPDX-License-Identifier: Apache-2.0
// Refused reports and dropped calls on their way to the audit, declared once (PROTOCOL C2, C3, E1).

import { listOf, parseJson, type TaskCall, taskFunction, textOf } from "./task-call.ts";

/** A report that was refused because its attempt was not current, or that contradicts one that was taken. */
export interface RefusedReport {
  /** Its place in the store, for `clear_refused`; with the epoch it names the report for good. */
  readonly place: string;
  readonly atMs: number;
  readonly task: string;
  readonly attempt: string;
  readonly agent: string;
  readonly verdict: "STALE" | "CONFLICT";
  /** Attempt that is current instead; empty when there is none. */
  readonly supersededBy: string;
  readonly reason: string;
  /** How long it had run, by its runner's clock: wasted. */
  readonly ranMs: number;
}

/** Calls that an agent kept for an attempt during a cut and dropped. */
export interface DroppedCalls
  extends Pick<RefusedReport, "place" | "atMs" | "task" | "attempt" | "agent"> {
  readonly verdict: "CALLS_DROPPED";
  readonly calls: number;
}

/** What waits for the audit. */
export type AuditMatter = RefusedReport | DroppedCalls;

type Stored<Matter> = Omit<Matter, "place" | "atMs"> & { readonly at: number };

export const readRefused = taskFunction<
  TaskCall & { readonly most: number },
  { readonly kind: "refused_reports"; readonly reports: readonly AuditMatter[] }
>({
  name: "read_refused_v1",
  args: ({ most }) => [most],
  parse: (reply) => {
    const items = listOf(reply);
    const reports: AuditMatter[] = [];
    for (let i = 0; i + 1 < items.length; i += 2) {
      const entry = parseJson<Stored<RefusedReport> | Stored<DroppedCalls>>(items[i + 1]);
      const { at, ...rest } = entry;
      reports.push({ ...rest, place: textOf(items[i]), atMs: at });
    }
    return { kind: "refused_reports", reports };
  },
});

export const clearRefused = taskFunction<
  TaskCall & { readonly places: readonly string[] },
  { readonly kind: "cleared"; readonly count: number }
>({
  name: "clear_refused_v1",
  args: ({ places }) => [JSON.stringify(places)],
  parse: (reply) => ({ kind: "cleared", count: Number(reply) }),
});

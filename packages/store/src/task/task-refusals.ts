// SPDX-License-Identifier: Apache-2.0
// Refused reports on their way to the audit, declared once (PROTOCOL C2, C3).

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

export const readRefused = taskFunction<
  TaskCall & { readonly most: number },
  { readonly kind: "refused_reports"; readonly reports: readonly RefusedReport[] }
>({
  name: "read_refused_v1",
  args: ({ most }) => [most],
  parse: (reply) => {
    const items = listOf(reply);
    const reports: RefusedReport[] = [];
    for (let i = 0; i + 1 < items.length; i += 2) {
      const entry = parseJson<Omit<RefusedReport, "place" | "atMs"> & { readonly at: number }>(
        items[i + 1],
      );
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

// SPDX-License-Identifier: Apache-2.0
// What is made of reports that are refused: counters, the log, and a row of the audit (PROTOCOL C2, C3); dropped
// calls, which come with reports, are such rows too (E1).

import type { Logger } from "@remex/runtime";
import type { AuditMatter, ReportItem, SessionStore, TaskStore } from "@remex/store";
import type { SchedulerMetrics } from "./scheduler-metrics.ts";

/** An entry of the audit, without its place in the chain. */
export interface AuditNote {
  /** The same report gives the same id, so that it is there once whoever brings it. */
  readonly entry: string;
  readonly atMs: number;
  readonly actor: string;
  readonly action: string;
  readonly deployment: string;
  readonly subject: string;
  readonly result: string;
  readonly detailJson: string;
}

export interface RefusedReportsDeps {
  readonly tasks: Pick<TaskStore, "readRefused" | "clearRefused">;
  readonly sessions: Pick<SessionStore, "countStaleReports">;
  epoch(): string;
  /** Appends to the audit, which another service owns; absent where there is none. */
  appendAudit?(notes: readonly AuditNote[]): Promise<void>;
  readonly metrics: Pick<SchedulerMetrics, "refused">;
  readonly log: Logger;
}

export interface RefusedReports {
  /** A report was answered STALE or CONFLICT here. */
  note(deployment: string, agent: string, report: ReportItem, verdict: "STALE" | "CONFLICT"): void;
  /** Brings what waits in the store to the audit; what the audit does not take stays. */
  forward(deployment: string): Promise<void>;
}

const mostForwarded = 200;

export function createRefusedReports(deps: RefusedReportsDeps): RefusedReports {
  const { log, tasks } = deps;
  return {
    note(deployment, agent, { id, attempt, ranMs }, verdict) {
      deps.metrics.refused(verdict, ranMs);
      const facts = { deployment, agent, task: id, attempt, ranMs };
      if (verdict === "CONFLICT") {
        log.error(facts, "an attempt was reported twice with different results; the first stands");
        return;
      }
      log.warn(facts, "a stale report was refused");
      deps.sessions
        .countStaleReports(deployment, [{ agent, count: 1 }])
        .catch((err: unknown) => log.debug({ err, deployment, agent }, "stale report not counted"));
    },

    async forward(deployment) {
      if (deps.appendAudit === undefined) return;
      for (;;) {
        const waiting = await tasks.readRefused({ deployment, most: mostForwarded });
        if (waiting.kind === "refused" || waiting.reports.length === 0) return;
        const { reports } = waiting;
        try {
          await deps.appendAudit(reports.map((report) => noteOf(deployment, deps.epoch(), report)));
        } catch (err) {
          // They stay in the store, and the next sweep brings them.
          log.warn({ err, deployment, waiting: reports.length }, "the audit cannot be reached yet");
          return;
        }
        await tasks.clearRefused({ deployment, places: reports.map(({ place }) => place) });
        if (reports.length < mostForwarded) return;
      }
    },
  };
}

function noteOf(deployment: string, epoch: string, matter: AuditMatter): AuditNote {
  const { place, atMs, agent, task, attempt } = matter;
  const standing = {
    atMs,
    actor: `agent:${deployment}/${agent}`,
    deployment,
    subject: `task:${task}`,
  };
  if (matter.verdict === "CALLS_DROPPED") {
    const { calls } = matter;
    return {
      ...standing,
      entry: `dropped-calls/${deployment}/${epoch}/${place}`,
      action: "kept_calls",
      result: "DROPPED",
      detailJson: JSON.stringify({ attempt, calls }),
    };
  }
  const { verdict, supersededBy, reason, ranMs } = matter;
  return {
    ...standing,
    entry: `refused-report/${deployment}/${epoch}/${place}`,
    action: "report",
    result: verdict,
    detailJson: JSON.stringify({ attempt, supersededBy, reason, ranMs }),
  };
}

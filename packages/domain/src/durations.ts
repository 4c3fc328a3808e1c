// SPDX-License-Identifier: Apache-2.0
// The durations of a deployment and the arithmetic that they must satisfy (PROTOCOL T4).

import type { Parsed } from "./ids.ts";
import { failureOf } from "./remex-error.ts";

/** What an operator sets. */
export interface DurationSettings {
  /** Heartbeat interval H, 1,000 to 60,000 ms. */
  readonly heartbeatMs: number;
  /** Time that stopping work may take: TERM, then KILL. */
  readonly stopMs: number;
  /** Confirm window at most; the smaller of it and the agent's lease holds. */
  readonly windowMs: number;
}

/** What follows from it; everything in ms. */
export interface Durations {
  /** H: how often an agent beats. */
  readonly heartbeatMs: number;
  /** SL = 3H: age at which the control plane ends a session. */
  readonly serverLimitMs: number;
  /** AL = 2H: the agent's own lease, from the sending of the acknowledged beat. */
  readonly agentLeaseMs: number;
  /** W = min(AL, set window): from the sending of an accept to the last moment of its start. */
  readonly confirmWindowMs: number;
  /** Time that stopping work may take. */
  readonly stopMs: number;
}

export const defaultDurationSettings: DurationSettings = {
  heartbeatMs: 10_000,
  stopMs: 6_000,
  windowMs: 15_000,
};

const shortestHeartbeatMs = 1_000;
const longestHeartbeatMs = 60_000;

/** Clocks of two machines may run apart by this share of a duration (T4). */
const clockAllowance = 0.05;

/** Computes the durations, or refuses settings under which a lease could outlive its session. */
export function decideDurations(settings: DurationSettings): Parsed<Durations> {
  const problem = settingProblem(settings);
  if (problem !== undefined) return refuse(problem);
  const serverLimitMs = 3 * settings.heartbeatMs;
  const agentLeaseMs = 2 * settings.heartbeatMs;
  const agentSide = agentLeaseMs * (1 + clockAllowance) + settings.stopMs;
  const serverSide = serverLimitMs * (1 - clockAllowance);
  if (agentSide >= serverSide) {
    const most = Math.ceil(serverSide - agentLeaseMs * (1 + clockAllowance)) - 1;
    return refuse(
      `agent lease ${agentLeaseMs} ms * 1.05 + stop time ${settings.stopMs} ms = ${round(agentSide)} ms ` +
        `must be less than server limit ${serverLimitMs} ms * 0.95 = ${round(serverSide)} ms; ` +
        `with a heartbeat of ${settings.heartbeatMs} ms the stop time may be at most ${most} ms`,
    );
  }
  return {
    ok: true,
    value: {
      heartbeatMs: settings.heartbeatMs,
      serverLimitMs,
      agentLeaseMs,
      confirmWindowMs: Math.min(agentLeaseMs, settings.windowMs),
      stopMs: settings.stopMs,
    },
  };
}

function settingProblem(settings: DurationSettings): string | undefined {
  const { heartbeatMs, stopMs, windowMs } = settings;
  if (![heartbeatMs, stopMs, windowMs].every(Number.isSafeInteger)) {
    return "every duration must be a whole number of milliseconds";
  }
  if (heartbeatMs < shortestHeartbeatMs || heartbeatMs > longestHeartbeatMs) {
    return `heartbeat ${heartbeatMs} ms must be between ${shortestHeartbeatMs} and ${longestHeartbeatMs} ms`;
  }
  if (stopMs <= 0) return `stop time ${stopMs} ms must be more than 0`;
  if (windowMs <= 0) return `confirm window ${windowMs} ms must be more than 0`;
  return undefined;
}

function refuse(arithmetic: string): Parsed<Durations> {
  return { ok: false, failure: failureOf("durations_impossible", { arithmetic }) };
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}

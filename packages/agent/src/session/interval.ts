// SPDX-License-Identifier: Apache-2.0
// Settings that change while a session is open: the smaller value holds until the change is known (T4).

import type { AgentSettings, Session } from "./agent-state.ts";

/** What the agent judges by now. */
export function settingsInForce(session: Session): AgentSettings {
  const { settings, pending } = session;
  if (pending === undefined) return settings;
  const next = pending.settings;
  return {
    version: next.version,
    heartbeatMs: Math.min(settings.heartbeatMs, next.heartbeatMs),
    leaseMs: Math.min(settings.leaseMs, next.leaseMs),
    windowMs: Math.min(settings.windowMs, next.windowMs),
    stopMs: next.stopMs,
    onCut: next.onCut,
  };
}

/**
 * Takes newer settings; of equal ones only what cut-off work does, which its group may have changed and
 * which nothing is judged by until work is confirmed.
 */
export function takeSettings(session: Session, settings: AgentSettings): boolean {
  const newest = session.pending?.settings ?? session.settings;
  if (settings.version === newest.version) {
    const { onCut } = settings;
    if (session.pending === undefined) session.settings = { ...session.settings, onCut };
    else session.pending = { ...session.pending, settings: { ...newest, onCut } };
  }
  if (settings.version <= newest.version) return false;
  session.pending = { settings, echoedFrom: undefined };
  return true;
}

/** A beat of this sequence carries the newest version. */
export function noteEcho(session: Session, sequence: number): void {
  if (session.pending !== undefined) session.pending.echoedFrom ??= sequence;
}

/** A beat up to this sequence was acknowledged: the change is known if it, or one before, echoed it. */
export function settleEcho(session: Session, sequence: number): boolean {
  const { pending } = session;
  if (pending?.echoedFrom === undefined || sequence < pending.echoedFrom) return false;
  session.settings = pending.settings;
  session.pending = undefined;
  return true;
}

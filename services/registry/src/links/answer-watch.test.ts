// SPDX-License-Identifier: Apache-2.0
// Proves that unanswered beats are noticed, and that agents are moved only where it helps.
import { createFakeClock } from "@remex/runtime/testing";
import { describe, expect, it } from "vitest";
import type { LiveSession } from "../session/live-session.ts";
import { createAnswerWatch } from "./answer-watch.ts";

const liveOf = (agent: string) => ({ facts: { deployment: "dep", agent } }) as LiveSession;

function start(othersAnswered: () => boolean) {
  const clock = createFakeClock();
  const sessions = [liveOf("a"), liveOf("b")] as [LiveSession, LiveSession];
  const outdone: boolean[] = [];
  const away: string[] = [];
  const watch = createAnswerWatch({
    clock,
    live: () => sessions,
    heartbeatMs: () => 10_000,
    othersAnswered: async () => othersAnswered(),
    onOutdone: (now) => outdone.push(now),
    sendAway: ({ facts }) => away.push(facts.agent),
  });
  return { clock, sessions, outdone, away, watch, stop: watch.start() };
}

describe("unanswered beats", () => {
  it("PROTOCOL-L5: older than H/2 while another registry is answered: not ready, and agents are sent away once", async () => {
    const { clock, sessions, outdone, away, watch, stop } = start(() => true);
    watch.relayed(sessions[0]);
    await clock.advance(5_000);
    expect(outdone).toEqual([]);
    await clock.advance(2_000);
    expect(outdone).toEqual([true]);
    expect(away).toEqual(["a", "b"]);
    watch.answered(sessions[0]);
    await clock.advance(1_000);
    expect(outdone).toEqual([true, false]);
    stop();
    expect(clock.pendingTimers()).toBe(0);
  });

  it("PROTOCOL-L5: if nobody is answered, streams are kept and readiness stays", async () => {
    const { clock, sessions, outdone, away, watch, stop } = start(() => false);
    watch.relayed(sessions[0]);
    await clock.advance(20_000);
    expect(watch.starving).toBe(true);
    expect(outdone).toEqual([]);
    expect(away).toEqual([]);
    stop();
  });

  it("PROTOCOL-L5: the oldest unanswered beat counts, not the latest", async () => {
    const { clock, sessions, outdone, watch, stop } = start(() => true);
    watch.relayed(sessions[0]);
    await clock.advance(4_000);
    watch.relayed(sessions[0]);
    await clock.advance(2_000);
    expect(outdone).toEqual([true]);
    stop();
  });
});

// SPDX-License-Identifier: Apache-2.0
// What the session functions must do, written plainly: random histories are compared with it.
import { fixtureHeartbeatMs, fixtureLimitMs } from "./session-fixture.ts";

/** Something that happens to one agent. */
export type SessionStep =
  | { readonly kind: "open"; readonly instance: number }
  /** `back` counts sessions back from the newest that the history has seen. */
  | { readonly kind: "resume"; readonly back: number; readonly generation: number }
  | {
      readonly kind: "beat";
      readonly back: number;
      readonly generation: number;
      readonly sequence: number;
    }
  | { readonly kind: "streamDown"; readonly generation: number }
  | { readonly kind: "revoke" }
  | { readonly kind: "leave"; readonly back: number; readonly empty: boolean }
  | { readonly kind: "expire" }
  | { readonly kind: "pass"; readonly ms: number };

/** The agent as the model has it; `number` 0 means that it never had a session. */
export interface ModelAgent {
  number: number;
  state: "NONE" | "OPEN" | "ENDING" | "ENDED";
  reason: string;
  instance: number;
  generation: number;
  beatSequence: number;
  beatAtMs: number;
  streamUp: boolean;
  health: string;
  /** Sessions whose work is to be given up. */
  readonly giveups: number[];
}

export const degradedMs = fixtureHeartbeatMs + fixtureHeartbeatMs / 4;

export function newModelAgent(): ModelAgent {
  return {
    ...{ number: 0, state: "NONE", reason: "", instance: 0, generation: 0, beatSequence: 0 },
    ...{ beatAtMs: 0, streamUp: false, health: "", giveups: [] },
  };
}

/** Applies a step; the answer is the kind that the function must answer with. */
export function stepModel(agent: ModelAgent, step: SessionStep, nowMs: number): string {
  switch (step.kind) {
    case "open":
      return open(agent, step.instance, nowMs);
    case "resume":
      return resume(agent, step.back, step.generation);
    case "beat":
      return beat(agent, step, nowMs);
    case "streamDown":
      return streamDown(agent, step.generation);
    case "revoke":
      if (agent.state === "OPEN") beginEnding(agent, "token_revoked");
      return "ending";
    case "leave":
      return leave(agent, step.back, step.empty);
    case "expire":
      expire(agent, nowMs);
      return "scanned";
    case "pass":
      // Scans go on all the time.
      expire(agent, nowMs);
      return "";
  }
}

const lives = (agent: ModelAgent): boolean => agent.state === "OPEN" || agent.state === "ENDING";

function open(agent: ModelAgent, instance: number, nowMs: number): string {
  if (lives(agent) && agent.instance !== instance) return "alive";
  agent.number += 1;
  Object.assign(agent, { state: "OPEN", reason: "", instance, generation: 1, beatSequence: 0 });
  Object.assign(agent, { beatAtMs: nowMs, streamUp: true, health: "REGISTERED" });
  return "opened";
}

function resume(agent: ModelAgent, back: number, generation: number): string {
  if (agent.number === 0 || back !== 0) return "unknown";
  if (agent.state !== "OPEN") return agent.state.toLowerCase();
  if (generation <= agent.generation) return "generation";
  agent.generation = generation;
  agent.streamUp = true;
  return "resumed";
}

function beat(
  agent: ModelAgent,
  step: Extract<SessionStep, { kind: "beat" }>,
  nowMs: number,
): string {
  if (agent.number === 0 || step.back !== 0 || agent.state === "ENDED") return "ended";
  if (nowMs - agent.beatAtMs >= fixtureLimitMs) {
    finish(agent, agent.state === "ENDING" ? agent.reason : "lease_expired", "FAILED");
    return "ended";
  }
  if (agent.state === "ENDING") return "ending";
  if (step.generation < agent.generation) return "old_stream";
  if (step.sequence > agent.beatSequence) {
    agent.beatSequence = step.sequence;
    agent.beatAtMs = nowMs;
    agent.health = agent.streamUp ? "HEALTHY" : "DEGRADED";
  }
  return "taken";
}

function streamDown(agent: ModelAgent, generation: number): string {
  if (agent.number === 0 || !agent.streamUp || generation !== agent.generation) return "noted";
  agent.streamUp = false;
  if (agent.state === "OPEN") agent.health = "DEGRADED";
  return "noted";
}

function leave(agent: ModelAgent, back: number, empty: boolean): string {
  if (agent.number === 0 || back !== 0 || agent.state === "ENDED") return "stale";
  if (empty) {
    finish(agent, agent.state === "ENDING" ? agent.reason : "goodbye", "LEFT");
    return "left";
  }
  if (agent.state === "OPEN") beginEnding(agent, "goodbye");
  return "ending";
}

function expire(agent: ModelAgent, nowMs: number): void {
  if (!lives(agent)) return;
  const ageMs = nowMs - agent.beatAtMs;
  if (ageMs >= fixtureLimitMs) {
    finish(agent, agent.state === "ENDING" ? agent.reason : "lease_expired", "FAILED");
  } else if (agent.state === "OPEN" && ageMs >= degradedMs) {
    agent.health = "DEGRADED";
  }
}

function beginEnding(agent: ModelAgent, reason: string): void {
  Object.assign(agent, { state: "ENDING", reason, health: "DEGRADED" });
}

function finish(agent: ModelAgent, reason: string, health: string): void {
  Object.assign(agent, { state: "ENDED", reason, health, streamUp: false });
  agent.giveups.push(agent.number);
}

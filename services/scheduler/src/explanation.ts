// SPDX-License-Identifier: Apache-2.0
// Why a task has not ended yet, in words of consequence (PROTOCOL S8).

import { type Lane, labelsFit, parseLane, runtimesOfKind } from "@remex/domain";
import type { SessionRecord, TaskStanding } from "@remex/store";
import { refusalExplanation } from "./refusal-words.ts";

/** One reason. */
export interface Explanation {
  /** Stable word for programs. */
  readonly code: string;
  /** One sentence for people. */
  readonly text: string;
  /** Agents that it is about, at most a few. */
  readonly agents: readonly string[];
}

/** An agent as far as offers go. */
export type AgentStanding = Pick<
  SessionRecord,
  | "agent"
  | "state"
  | "reason"
  | "kind"
  | "queues"
  | "labels"
  | "slots"
  | "runtimes"
  | "availability"
  | "controlNote"
  | "health"
  | "healthReason"
>;

const mostNamed = 5;

/** Everything that keeps the task, what weighs most first. Never empty. */
export function explainTask(
  standing: TaskStanding,
  agents: readonly AgentStanding[],
): Explanation[] {
  const { row } = standing;
  const { agent } = row;
  const about = (code: string, text: string): Explanation[] => [{ code, text, agents: [agent] }];
  switch (row.state) {
    case "QUEUED":
      return [...whyQueued(standing, agents), ...standing.refusals.map(refusalOf(standing.nowMs))];
    case "HELD":
      return about("held", heldText(standing));
    case "ASSIGNED":
      if (row.stage === "OFFERED") {
        return about("offered", `agent ${agent} is offered it and has not answered yet`);
      }
      if (row.cancelWished) {
        return about(
          "canceling",
          `a cancel is wished, and agent ${agent} has not reported its end yet`,
        );
      }
      return row.stage === "CONFIRMED"
        ? about("starting", `agent ${agent} may start it and has not said yet that it did`)
        : about("running", `it runs on agent ${agent}`);
    case "SUCCEEDED":
    case "FAILED":
    case "CANCELED": {
      const why = row.reason === "" ? "" : ` (${row.reason})`;
      return [
        { code: "ended", text: `it has ended: ${row.state.toLowerCase()}${why}`, agents: [] },
      ];
    }
    default:
      return row.state satisfies never;
  }
}

function heldText({ row, nowMs }: TaskStanding): string {
  const lost = `agent ${row.agent} is lost (${row.heldReason}) and may still run it`;
  if (!Number.isFinite(row.heldUntilMs)) {
    return `${lost}; it is held until the agent comes back or an operator says that it is gone`;
  }
  const seconds = Math.max(0, Math.ceil((row.heldUntilMs - nowMs) / 1_000));
  return `${lost}; it is held for ${seconds} s more, then given up unless the agent comes back`;
}

function whyQueued(standing: TaskStanding, agents: readonly AgentStanding[]): Explanation[] {
  const found: Explanation[] = [];
  if (standing.quarantine) {
    const text =
      "redis was replaced or restored: nothing is offered until every known agent has said what it runs";
    found.push({ code: "quarantine", text, agents: [] });
  }
  const lane = parseLane(standing.row.lane);
  const fitting = whoFits(lane, agents);
  if (!Array.isArray(fitting)) return [...found, fitting];
  const cost = standing.slotCost;
  const largest = Math.max(...fitting.map(({ slots }) => slots));
  if (largest < cost) {
    const text = `it needs ${cost} slots at once, and the largest agent that fits has ${largest}: start one with more slots, or lower the slot cost`;
    return [...found, explanationOf("too_large", text, fitting)];
  }
  const able = fitting.filter(({ slots }) => slots >= cost);
  return [...found, ...whyNot(standing, able, cost)];
}

/** The living agents that could run it, or why there are none. */
function whoFits(lane: Lane, agents: readonly AgentStanding[]): AgentStanding[] | Explanation {
  const { queue, runtime, requiredLabels } = lane;
  const listening = agents.filter(({ queues }) => queues.includes(queue));
  const living = listening.filter(({ state }) => state !== "ENDED");
  if (living.length === 0) {
    const before =
      listening.length === 0 ? "" : `; ${namesOf(listening)} did and ${gone(listening)}`;
    const text = `no living agent listens on queue ${queue}${before}: start one that does, or submit to another queue`;
    return explanationOf("no_agent_on_queue", text, listening);
  }
  const running = living.filter((agent) =>
    runtimesOfKind(agent.kind, agent.runtimes).includes(runtime),
  );
  if (running.length === 0) {
    const text = `no agent on queue ${queue} runs ${runtime} work`;
    return explanationOf("no_agent_with_runtime", text, living);
  }
  const labelled = running.filter(({ labels }) => labelsFit(requiredLabels, labels));
  if (labelled.length > 0) return labelled;
  const wanted = Object.entries(requiredLabels).map(([key, value]) => `${key}=${value}`);
  const text = `no agent on queue ${queue} has ${wanted.length > 1 ? "all the labels" : "the label"} ${wanted.join(", ")}`;
  return explanationOf("no_agent_with_labels", text, running);
}

function gone(agents: readonly AgentStanding[]): string {
  const [first] = agents;
  if (agents.length > 1 || first === undefined) return "are away";
  return first.health === "LEFT" ? "left" : `failed (${first.reason || first.healthReason})`;
}

/** Agents that could run it, by what keeps each of them from it now. */
function whyNot(
  standing: TaskStanding,
  able: readonly AgentStanding[],
  cost: number,
): Explanation[] {
  const classes = new Map<string, AgentStanding[]>();
  for (const agent of able) {
    const code = hindranceOf(agent, agent.slots - (standing.slots.get(agent.agent) ?? 0), cost);
    classes.set(code, [...(classes.get(code) ?? []), agent]);
  }
  const found: Explanation[] = [];
  const ahead = standing.ahead ?? 0;
  if (ahead > 0) {
    const text = `${ahead} ${ahead === 1 ? "task is" : "tasks are"} ahead of it: of higher priority, or queued before it`;
    found.push({ code: "ahead", text, agents: [] });
  }
  for (const [code, agents] of classes) {
    if (code === "free" && (ahead > 0 || standing.quarantine)) continue;
    found.push(explanationOf(code, textOf(code, agents, standing, cost), agents));
  }
  return found;
}

function hindranceOf(agent: AgentStanding, free: number, cost: number): string {
  if (agent.state === "ENDING") return "session_ending";
  if (agent.availability !== "SCHEDULABLE") return agent.availability.toLowerCase();
  if (agent.health !== "HEALTHY") return agent.health.toLowerCase();
  if (free <= 0) return "full";
  return free < cost ? "waits_for_larger_slot" : "free";
}

function textOf(
  code: string,
  agents: readonly AgentStanding[],
  standing: TaskStanding,
  cost: number,
): string {
  const names = namesOf(agents);
  const one = agents.length === 1;
  const is = one ? "is" : "are";
  const [first] = agents;
  const note = one && first?.controlNote ? ` (${first.controlNote})` : "";
  const why = one && first?.healthReason ? ` (${first.healthReason})` : "";
  switch (code) {
    case "free":
      return `${names} ${one ? "has" : "have"} room: it is offered within a moment`;
    case "full":
      return `${names} ${is} full: it starts when one of their tasks ends`;
    case "waits_for_larger_slot": {
      const free = agents.map(({ agent, slots }) => slots - (standing.slots.get(agent) ?? 0));
      return `it waits for ${cost} free slots at once; ${names} ${one ? "has" : "have"} at most ${Math.max(...free)}, and no smaller task of its lane overtakes it there`;
    }
    case "cordoned":
      return `${names} ${is} cordoned${note}: uncordon, or start another agent`;
    case "draining":
      return `${names} ${is} draining${note} and ${one ? "takes" : "take"} nothing new`;
    case "deleted":
      return `${names} ${is} deleted${note}`;
    case "session_ending":
      return `the session of ${names} is ending (${first?.reason ?? ""})`;
    case "suspect":
      return `${names} ${one ? "has" : "have"} fallen silent together with many others: ${one ? "it is" : "they are"} offered nothing until heard again`;
    case "registered":
      return `${names} ${one ? "has" : "have"} just connected and not beaten yet`;
    default:
      return `${names} ${is} ${code}${why} and ${one ? "is" : "are"} offered nothing until healthy`;
  }
}

function refusalOf(nowMs: number): (refusal: TaskStanding["refusals"][number]) => Explanation {
  return (refusal) => {
    const { code, text } = refusalExplanation(refusal, nowMs);
    return { code, text, agents: [refusal.agent] };
  };
}

function explanationOf(code: string, text: string, agents: readonly AgentStanding[]): Explanation {
  return { code, text, agents: agents.slice(0, mostNamed).map(({ agent }) => agent) };
}

function namesOf(agents: readonly AgentStanding[]): string {
  const names = agents.slice(0, mostNamed).map(({ agent }) => agent);
  const further = agents.length - names.length;
  return further > 0 ? `${names.join(", ")} and ${further} more` : names.join(", ");
}

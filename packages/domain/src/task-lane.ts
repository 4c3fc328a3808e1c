// SPDX-License-Identifier: Apache-2.0
// Lanes: the lines in which tasks of equal needs wait (PROTOCOL S9), and which agents may serve them.

import type { Labels } from "./labels.ts";
import { labelsFit } from "./labels.ts";

/** What the tasks of a lane need. The runtime counts as one more label that an agent must have. */
export interface Lane {
  readonly queue: string;
  readonly runtime: string;
  readonly requiredLabels: Labels;
}

/** What an agent offers to lanes. */
export interface LaneServer {
  readonly queues: readonly string[];
  readonly runtimes: readonly string[];
  readonly labels: Labels;
}

// Queues, labels and runtimes hold no control characters, so these two can separate them.
const partEnd = "\n";
const valueBegin = "\t";

/** The lane's name in the store: the same needs give the same text. */
export function laneText(lane: Lane): string {
  const labels = Object.entries(lane.requiredLabels)
    .map(([key, value]) => `${partEnd}${key}${valueBegin}${value}`)
    .sort();
  return `${lane.queue}${partEnd}${lane.runtime}${labels.join("")}`;
}

/** Reads what `laneText` wrote. */
export function parseLane(text: string): Lane {
  const [queue = "", runtime = "", ...labels] = text.split(partEnd);
  const entries = labels.map((label) => {
    const [key = "", value = ""] = label.split(valueBegin);
    return [key, value] as const;
  });
  return { queue, runtime, requiredLabels: Object.fromEntries(entries) };
}

/** True when the agent may be offered what waits in the lane. */
export function laneFits(lane: Lane, server: LaneServer): boolean {
  return (
    server.queues.includes(lane.queue) &&
    server.runtimes.includes(lane.runtime) &&
    labelsFit(lane.requiredLabels, server.labels)
  );
}

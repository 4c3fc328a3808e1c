// SPDX-License-Identifier: Apache-2.0
// Checks what came over the runner's socket before anybody trusts its shape: a cheap walk, no copies.

import { type NumberedRef, parseRef } from "@remex/domain";
import type {
  AgentEventJson,
  AttemptEndedJson,
  RunnerEventJson,
  StartJson,
} from "@remex/proto/runner/v1";
import { FramingError } from "./framing.ts";

/** The attempt of an event, by task and number. */
export interface AttemptName {
  readonly task: string;
  readonly attempt: NumberedRef;
}

/** An attempt's number as JSON carries it: 64-bit integers are texts there. */
interface RefJson {
  readonly epoch?: string | number;
  readonly number?: string | number;
}

/** The events of an agent's frame. */
export function agentEventsOf(frame: unknown): readonly AgentEventJson[] {
  return eventsOf(frame) as readonly AgentEventJson[];
}

/** The events of a runner's frame. */
export function runnerEventsOf(frame: unknown): readonly RunnerEventJson[] {
  return eventsOf(frame) as readonly RunnerEventJson[];
}

function eventsOf(frame: unknown): readonly object[] {
  if (!isObject(frame)) throw new FramingError("a frame is not an object");
  const events: unknown = frame.events ?? [];
  if (!Array.isArray(events)) throw new FramingError("the events of a frame are not a list");
  for (const event of events) {
    if (!isObject(event)) throw new FramingError("an event is not an object");
    for (const body of Object.values(event)) {
      if (!isObject(body)) throw new FramingError("an event's body is not an object");
    }
  }
  return events as readonly object[];
}

/** Names the attempt of an event; an event that names none breaks the contract. */
export function attemptNameOf(body: { task?: string; attempt?: RefJson }): AttemptName {
  const attempt = refOfJson(body.attempt);
  if (typeof body.task !== "string" || body.task === "" || attempt === undefined) {
    throw new FramingError("an event does not name its task and attempt");
  }
  // The task becomes part of a file name; ids of Remex hold nothing that could leave the folder.
  if (!taskPattern.test(body.task)) {
    throw new FramingError(`${JSON.stringify(body.task)} is not a task id`);
  }
  return { task: body.task, attempt };
}

const taskPattern = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}$/;

/** Reads a session or attempt; undefined when it is absent or no number. */
export function refOfJson(ref: RefJson | undefined): NumberedRef | undefined {
  if (!isObject(ref)) return undefined;
  return parseRef(`${ref.epoch ?? 0}.${ref.number ?? 0}`);
}

/** Writes a session or attempt. */
export function refToJson(ref: NumberedRef): { epoch: string; number: string } {
  return { epoch: String(ref.epoch), number: String(ref.number) };
}

/** A start without work or with an unknown outcome of a cut cannot be followed. */
export function requireSpec(start: StartJson): NonNullable<StartJson["spec"]> {
  if (!isObject(start.spec)) throw new FramingError("a start holds no spec");
  return start.spec;
}

/** An end without an outcome says nothing. */
export function requireOutcome(ended: AttemptEndedJson): NonNullable<AttemptEndedJson["outcome"]> {
  if (!isObject(ended.outcome)) throw new FramingError("an end holds no outcome");
  return ended.outcome;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

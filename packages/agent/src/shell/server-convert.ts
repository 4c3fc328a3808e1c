// SPDX-License-Identifier: Apache-2.0
// The edge to the control plane: what a frame of the contract says, in the machine's words.

import { refFromWire } from "@remex/domain";
import {
  Availability,
  type ServerEvent,
  type Settings,
  type TriggerEventAnswer,
  type Welcome,
} from "@remex/proto/agent/v1";
import type { TaskSpec } from "@remex/proto/common/v1";
import type { AgentSettings, AttemptFacts, ServerSays } from "../session/agent-state.ts";
import { durationMsOf } from "./wire-time.ts";

type Case<Name extends NonNullable<ServerEvent["event"]["case"]>> = Extract<
  ServerEvent["event"],
  { case: Name }
>["value"];

/**
 * What an event says. Undefined for one that the machine has no part in (log fetches, session keys,
 * cases of a newer contract) and for one that does not name what it is about.
 */
export function serverSaysOf(event: ServerEvent["event"]): ServerSays | undefined {
  switch (event.case) {
    case "welcome":
      return welcomeSays(event.value);
    case "beatAck":
      return {
        kind: "beatAck",
        sequence: Number(event.value.sequence),
        epoch: Number(event.value.epoch),
      };
    case "offer":
      return offerSays(event.value);
    case "withdraw":
    case "confirm":
    case "cancel":
    case "reportAnswer":
      return attemptSays(event);
    case "inventoryAnswer":
      return inventoryAnswerSays(event.value);
    case "triggerEventAnswer":
      return eventAnswerSays(event.value);
    case "inventoryRequest":
      return { kind: "inventoryRequest", epoch: Number(event.value.epoch) };
    case "settings":
      return { kind: "settings", settings: settingsOf(event.value) };
    case "control":
      return controlSays(event.value);
    case "sessionEnding":
      return { kind: "sessionEnding", reason: event.value.reason };
    case "sessionEnded": {
      const { reason, error } = event.value;
      return { kind: "sessionEnded", reason, mayReturn: error === undefined || error.retryable };
    }
    case "goAway": {
      const { reason, dialAfter } = event.value;
      return { kind: "goAway", reason, dialAfterMs: durationMsOf(dialAfter) ?? 0 };
    }
    default:
      return undefined;
  }
}

function eventAnswerSays(answer: TriggerEventAnswer): ServerSays | undefined {
  const { task, durableNumber, refusal } = answer;
  const attempt = refFromWire(answer.attempt);
  if (attempt === undefined) return undefined;
  const durable = Number(durableNumber);
  return { kind: "eventAnswer", task, attempt, durable, refusal: refusal?.message };
}

function welcomeSays(welcome: Welcome): ServerSays | undefined {
  const session = refFromWire(welcome.session);
  if (session === undefined || welcome.settings === undefined) return undefined;
  return {
    kind: "welcome",
    welcome: {
      deployment: welcome.deployment,
      session,
      generation: Number(welcome.generation),
      resumed: welcome.resumed,
      settings: settingsOf(welcome.settings),
      epoch: Number(welcome.epoch),
      available: isAvailable(welcome.availability),
    },
  };
}

/** What a deployment has by default stands in for what an older registry does not say. */
function settingsOf(settings: Settings): AgentSettings {
  const heartbeatMs = durationMsOf(settings.heartbeatInterval) ?? 10_000;
  return {
    version: Number(settings.intervalVersion),
    heartbeatMs,
    leaseMs: durationMsOf(settings.agentLease) ?? 2 * heartbeatMs,
    windowMs: durationMsOf(settings.confirmWindow) ?? Math.min(2 * heartbeatMs, 15_000),
    stopMs: durationMsOf(settings.stopTime) ?? 6_000,
    onCut: settings.onCut,
  };
}

function isAvailable(availability: Availability): boolean {
  return availability === Availability.SCHEDULABLE || availability === Availability.UNSPECIFIED;
}

function offerSays(offer: Case<"offer">): ServerSays | undefined {
  const attempt = refFromWire(offer.attempt);
  const { task, spec } = offer;
  if (attempt === undefined || spec === undefined || task === "") return undefined;
  const facts = factsOf(spec, offer.idempotencyKey, offer.payloadDigest);
  return { kind: "offer", task, attempt, spec, facts };
}

/** The facts of a spec that an inventory shows. */
export function factsOf(
  spec: TaskSpec,
  idempotencyKey: string,
  payloadDigest: Uint8Array,
): AttemptFacts {
  return {
    idempotencyKey,
    payloadDigest,
    queue: spec.queue === "" ? "default" : spec.queue,
    requiredLabels: spec.requiredLabels,
    slotCost: spec.slotCost === 0 ? 1 : spec.slotCost,
    onLost: spec.onLost,
    onCut: spec.onCut,
    lostAfterMs: durationMsOf(spec.lostAfter),
  };
}

type AttemptEvent = Extract<
  ServerEvent["event"],
  { case: "withdraw" | "confirm" | "cancel" | "reportAnswer" }
>;

function attemptSays(event: AttemptEvent): ServerSays | undefined {
  const { task } = event.value;
  const attempt = refFromWire(event.value.attempt);
  if (attempt === undefined) return undefined;
  switch (event.case) {
    case "withdraw":
      return { kind: "withdraw", task, attempt, reason: event.value.reason };
    case "confirm":
      return { kind: "confirm", task, attempt, onCut: event.value.onCut };
    case "cancel":
      return { kind: "cancel", task, attempt };
    case "reportAnswer": {
      const { verdict, reason, retryAfter } = event.value;
      const retryAfterMs = durationMsOf(retryAfter);
      return { kind: "reportAnswer", task, attempt, verdict, reason, retryAfterMs };
    }
    default:
      return event satisfies never;
  }
}

function inventoryAnswerSays(answer: Case<"inventoryAnswer">): ServerSays {
  const verdicts = answer.verdicts.flatMap(({ task, attempt: wire, verdict }) => {
    const attempt = refFromWire(wire);
    return attempt === undefined ? [] : [{ task, attempt, verdict }];
  });
  return { kind: "inventoryAnswer", verdicts };
}

function controlSays(control: Case<"control">): ServerSays {
  const { availability, drainDeadline } = control;
  return {
    kind: "control",
    available: availability === Availability.UNSPECIFIED ? undefined : isAvailable(availability),
    draining: availability === Availability.DRAINING,
    drainDeadlineMs: durationMsOf(drainDeadline),
  };
}

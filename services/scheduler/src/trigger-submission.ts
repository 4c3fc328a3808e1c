// SPDX-License-Identifier: Apache-2.0
// Checks a submission of a trigger: what it waits for, and what triggers cannot be told (PROTOCOL C5, G3).

import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  builtinTriggers,
  decideTrigger,
  type Failure,
  failureOf,
  parseSecretHeaders,
  type StatedTrigger,
} from "@remex/domain";
import {
  type BuiltinTrigger,
  OnCut,
  OnLost,
  type TaskSpec,
  type TriggerWork,
} from "@remex/proto/common/v1";

/** What is wrong with a submitted trigger; undefined when nothing is. */
export function triggerProblem(spec: TaskSpec, work: TriggerWork): Failure | undefined {
  return policyProblem(spec) ?? workProblem(work);
}

function policyProblem({ onCut, onLost, lostAfter }: TaskSpec): Failure | undefined {
  if (onCut === OnCut.CONTINUE) {
    return invalid(
      "spec.on_cut",
      "a trigger always aborts when its agent is cut off; leave it out",
    );
  }
  if (onLost === OnLost.FAIL) {
    return invalid("spec.on_lost", "a trigger is always queued again; leave it out");
  }
  if (lostAfter !== undefined && durationMs(lostAfter) !== 0) {
    return invalid("spec.lost_after", "a trigger is taken over at once; leave it out");
  }
  return undefined;
}

function workProblem({
  runtime,
  payload,
  secretPayload,
  builtin,
}: TriggerWork): Failure | undefined {
  if (runtime !== "" && runtime !== builtinTriggers) {
    return failureOf("runtime_unknown", { runtime: `trigger (${runtime})` });
  }
  if (payload.length > 0) {
    return invalid("spec.trigger.payload", "built-in triggers have none; fill in builtin");
  }
  const stated = builtin && statedTrigger(builtin);
  if (stated === undefined) return invalid("spec.trigger.builtin", "it holds no trigger");
  const decided = decideTrigger(stated, "spec.trigger.builtin");
  if (!decided.ok) return decided.failure;
  const field = "spec.trigger.secret_payload";
  if (secretPayload.length > 0 && stated.kind !== "http") {
    return invalid(field, `${stated.kind} triggers take no secrets`);
  }
  const secrets = parseSecretHeaders(Buffer.from(secretPayload).toString("utf8"), field);
  return secrets.ok ? undefined : secrets.failure;
}

function statedTrigger({ trigger }: BuiltinTrigger): StatedTrigger | undefined {
  switch (trigger.case) {
    case "timer": {
      const { after, every, times } = trigger.value;
      const [afterMs, everyMs] = [msOf(after), msOf(every)];
      return { kind: "timer", afterMs, everyMs, times };
    }
    case "http": {
      const { url, headers, expectStatuses, expectBody, every, requestTimeout } = trigger.value;
      const [everyMs, requestTimeoutMs] = [msOf(every), msOf(requestTimeout)];
      const asked = { url, headers, expectStatuses, expectBody };
      return { kind: "http", ...asked, everyMs, requestTimeoutMs };
    }
    case "file":
      return { kind: "file", path: trigger.value.path, everyMs: msOf(trigger.value.every) };
    default:
      return undefined;
  }
}

function msOf(duration: Parameters<typeof durationMs>[0] | undefined): number | undefined {
  return duration === undefined ? undefined : durationMs(duration);
}

/** The same submission must give the same bytes whatever order its headers were filled in. */
export function triggerInOrder(work: TriggerWork): TriggerWork {
  const runtime = work.runtime || builtinTriggers;
  const trigger = work.builtin?.trigger;
  if (work.builtin === undefined || trigger?.case !== "http") return { ...work, runtime };
  const sorted = Object.entries(trigger.value.headers).sort(([a], [b]) => (a < b ? -1 : 1));
  const value = { ...trigger.value, headers: Object.fromEntries(sorted) };
  return { ...work, runtime, builtin: { ...work.builtin, trigger: { case: "http", value } } };
}

export function triggerWithoutSecrets(work: TriggerWork): TriggerWork {
  return { ...work, secretPayload: new Uint8Array() };
}

function invalid(field: string, problem: string): Failure {
  return failureOf("argument_invalid", { field, problem });
}

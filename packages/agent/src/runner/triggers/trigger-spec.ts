// SPDX-License-Identifier: Apache-2.0
// Reads a built-in trigger from the runner contract's JSON: the last check before it runs.

import {
  type BuiltinTrigger,
  builtinTriggers,
  decideTrigger,
  failureOf,
  type Parsed,
  parseSecretHeaders,
  type StatedTrigger,
} from "@remex/domain";
import type { BuiltinTriggerJson, TriggerWorkJson } from "@remex/proto/common/v1";
import { parseDurationText } from "../../contract/json-time.ts";

/** The trigger with its secrets in place, or why this runner cannot run it. */
export function readTrigger(work: TriggerWorkJson): Parsed<BuiltinTrigger> {
  const { runtime = builtinTriggers, builtin, secretPayload = "" } = work;
  if (runtime !== builtinTriggers) {
    const failure = failureOf("runtime_unknown", { runtime: `trigger (${runtime})` });
    return { ok: false, failure };
  }
  const stated = builtin && statedOf(builtin);
  if (stated === undefined) {
    const problem = "it holds no trigger that is known here";
    const failure = failureOf("argument_invalid", { field: "trigger.builtin", problem });
    return { ok: false, failure };
  }
  const decided = decideTrigger(stated, "trigger");
  if (!decided.ok || decided.value.kind !== "http") return decided;
  const text = Buffer.from(secretPayload, "base64").toString("utf8");
  const secrets = parseSecretHeaders(text, "trigger.secret_payload");
  if (!secrets.ok) return secrets;
  const headers = { ...decided.value.headers, ...secrets.value };
  return { ok: true, value: { ...decided.value, headers } };
}

function statedOf({ timer, http, file }: BuiltinTriggerJson): StatedTrigger | undefined {
  if (timer !== undefined) {
    return {
      kind: "timer",
      afterMs: parseDurationText(timer.after),
      everyMs: parseDurationText(timer.every),
      times: timer.times ?? 0,
    };
  }
  if (http !== undefined) {
    return {
      kind: "http",
      url: http.url ?? "",
      headers: http.headers ?? {},
      expectStatuses: http.expectStatuses ?? [],
      expectBody: http.expectBody ?? "",
      everyMs: parseDurationText(http.every),
      requestTimeoutMs: parseDurationText(http.requestTimeout),
    };
  }
  return file && { kind: "file", path: file.path ?? "", everyMs: parseDurationText(file.every) };
}

// SPDX-License-Identifier: Apache-2.0
// Whether a failed call is made again: only when repeating it cannot do the thing twice.

import type { DescMethod } from "@bufbuild/protobuf";
import type { RemexCallError } from "./call-error.ts";

export interface RepeatPolicy {
  /** Calls in all, the first one included. */
  readonly maxTries: number;
  /** Upper bound of the first wait. */
  readonly baseMs: number;
  /** Upper bound of every wait; a service that asks for a longer one is not asked again. */
  readonly maxMs: number;
}

export const defaultRepeatPolicy: RepeatPolicy = { maxTries: 4, baseMs: 200, maxMs: 5_000 };

/** What the contract calls idempotent, beyond plain reading. */
const idempotentMethods: ReadonlySet<string> = new Set([
  "remex.scheduler.v1.TaskService.CancelTasks",
  "remex.token.v1.AgentTokenService.RevokeAgentToken",
  "remex.token.v1.OperatorKeyService.RevokeOperatorKey",
]);

const readingName = /^(?:Get|List|BatchGet|WhoAmI)/;

/**
 * True when the call may be repeated although its outcome is unknown. Making a token or a key is never
 * repeated: the value of the first one would be lost. `input` is the request.
 */
export function isSafeToRepeat(method: DescMethod, input: object, error: RemexCallError): boolean {
  const name = `${method.parent.typeName}.${method.name}`;
  if (readingName.test(method.name) || idempotentMethods.has(name)) return true;
  switch (name) {
    case "remex.scheduler.v1.TaskService.SubmitTasks":
      return "tasks" in input && everyOneHasKey(input.tasks);
    case "remex.registry.v1.DeploymentService.UpdateDeployment":
      // With a revision stated, the repetition of a call that took effect would be refused as stale.
      return !("revision" in input && Boolean(input.revision));
    case "remex.registry.v1.DeploymentService.CreateDeployment":
      return error.code === "recorded_not_in_effect";
    default:
      return false;
  }
}

function everyOneHasKey(tasks: unknown): boolean {
  return (
    Array.isArray(tasks) &&
    tasks.every((each: { idempotencyKey?: unknown }) => Boolean(each.idempotencyKey))
  );
}

// SPDX-License-Identifier: Apache-2.0
// What a caller is told when something broke that nobody expected: a reference, and nothing else.

import { randomBytes } from "node:crypto";
import { type Failure, failureOf } from "@remex/domain";
import type { Logger } from "@remex/runtime";

/** Logs an unexpected error under a reference and gives the failure that names the reference. */
export function internalFailure(err: unknown, method: string, log: Logger): Failure {
  const reference = randomBytes(6).toString("hex");
  log.error({ method, reference, err }, "a call failed unexpectedly");
  return failureOf("internal", { reference });
}

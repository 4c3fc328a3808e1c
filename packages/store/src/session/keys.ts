// SPDX-License-Identifier: Apache-2.0
// Keys of the session aggregate; only its functions write them, others may read what is exported.
import { deploymentTag } from "../core/keys.ts";

/** Hash of an agent and its current or last session. */
export function sessionKey(deployment: string, agent: string): string {
  return `${deploymentTag(deployment)}:session:${agent}`;
}

/** Sorted set of ended sessions whose attempts are still to be given up. */
export function giveupKey(deployment: string): string {
  return `${deploymentTag(deployment)}:giveup`;
}

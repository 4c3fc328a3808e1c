// SPDX-License-Identifier: Apache-2.0
// An agent's own refusal of a task in words (PROTOCOL S8).

import type { TaskRefusal } from "@remex/store";

const words: Readonly<Record<string, string>> = {
  no_slots: "its slots were taken",
  window_passed: "the confirmation came too late",
  no_lease: "its lease was not valid",
  draining: "it was draining",
  cannot_run: "its runner cannot run this work",
  runner_lost: "its runner had ended",
};

export function refusalExplanation(
  { agent, reason, message, atMs }: TaskRefusal,
  nowMs: number,
): { readonly code: string; readonly text: string } {
  const seconds = Math.max(0, Math.round((nowMs - atMs) / 1_000));
  const said = message === "" ? "" : ` (${message})`;
  return {
    code: `declined_${reason}`,
    text: `agent ${agent} handed it back ${seconds} s ago: ${words[reason] ?? reason}${said}`,
  };
}

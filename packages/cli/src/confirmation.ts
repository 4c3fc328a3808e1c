// SPDX-License-Identifier: Apache-2.0
// Asks for a name once more before something is done that cannot be taken back.

import { usageError } from "./cli-error.ts";
import type { World } from "./world.ts";

/** The option that stands for the answer. */
export const yesOption = ["-y, --yes", "do not ask for the name again"] as const;

/** Goes on when the name is typed again, or `--yes` was given; `what` says what is about to happen. */
export async function confirmName(
  world: World,
  name: string,
  what: string,
  yes: boolean | undefined,
): Promise<void> {
  if (yes === true) return;
  const answer = await world.ask(`${what}\ntype ${name} to go on: `);
  if (answer === undefined) {
    throw usageError(`${what}; nobody can be asked here`, "say it with --yes");
  }
  if (answer.trim() !== name) throw usageError(`the answer is not ${name}: nothing was done`);
}

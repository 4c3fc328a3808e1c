// SPDX-License-Identifier: Apache-2.0
// Where the operator key comes from: a file, standard input or the environment, never the command line.

import { readFile, stat } from "node:fs/promises";
import { CliError, keyHint, usageError } from "./cli-error.ts";
import { nonEmpty } from "./common-options.ts";
import { exitCodes } from "./exit-codes.ts";
import type { World } from "./world.ts";

/** An agent token or operator key, whole: prefix, public id, and enough of the secret to be one. */
const credential = /rm[xk]_[0-9A-Za-z]{8}_[0-9A-Za-z]{16,}/;

/**
 * Refuses a command line that holds a credential (SEC-W6): other users of the machine can read it, and
 * shells keep it in their history. The value is not repeated.
 */
export function refuseCredentials(argv: readonly string[]): void {
  if (!argv.some((word) => credential.test(word))) return;
  throw usageError(
    "there is a token or key on the command line, where other users of this machine can read it",
    "put it into a file of mode 600 (--key-file, --token-file) or into the environment, and revoke this one",
  );
}

/** The key, or an error that says where it is looked for. */
export async function loadOperatorKey(keyFile: string | undefined, world: World): Promise<string> {
  const file = keyFile ?? nonEmpty(world.env.REMEX_KEY_FILE);
  const key =
    file === undefined ? nonEmpty(world.env.REMEX_KEY)?.trim() : await readKey(file, world);
  if (key === undefined) {
    throw new CliError("there is no operator key", exitCodes.notAuthorised, keyHint);
  }
  if (!key.startsWith("rmk_") || /\s/.test(key)) {
    const where = file === undefined ? "REMEX_KEY" : file === "-" ? "standard input" : file;
    throw new CliError(
      `${where} does not hold an operator key (one line that begins with rmk_)`,
      exitCodes.notAuthorised,
      key.startsWith("rmx_") ? "it holds an agent token, which is for remex-agent" : keyHint,
    );
  }
  return key;
}

async function readKey(file: string, world: World): Promise<string> {
  if (file === "-") return (await world.readStdin()).trim();
  try {
    const text = await readFile(file, "utf8");
    const { mode } = await stat(file);
    if ((mode & 0o077) !== 0) {
      world.tell(`warning: ${file} can be read by others than its owner; run chmod 600 ${file}\n`);
    }
    return text.trim();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CliError(
      `the key file ${file} cannot be read: ${reason}`,
      exitCodes.notAuthorised,
      keyHint,
    );
  }
}

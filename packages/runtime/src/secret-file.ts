// SPDX-License-Identifier: Apache-2.0
// Files that hold a secret: readable by their owner alone, made whole or not at all.

import { randomBytes } from "node:crypto";
import { link, open, readFile, stat, unlink } from "node:fs/promises";

/** A secret's file cannot be used; the message names it and the fix. */
export class SecretFileError extends Error {
  override readonly name = "SecretFileError";
  readonly code = "secret_file_unusable";
}

/**
 * Reads a secret's file; refused when every user of the host may read it. A group may: that is how
 * Kubernetes gives a mounted secret to a user other than root.
 */
export async function readSecretFile(path: string): Promise<string> {
  let text: string;
  try {
    const { mode } = await stat(path);
    if ((mode & 0o007) !== 0) {
      throw new SecretFileError(
        `${path} holds a secret and every user of this host may read it; run chmod 600 ${path}`,
      );
    }
    text = await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof SecretFileError) throw error;
    throw new SecretFileError(`${path} cannot be read: ${reasonOf(error)}`, { cause: error });
  }
  if (text.trim() === "") {
    throw new SecretFileError(`${path} is empty; remove it, or put the secret into it`);
  }
  return text.trim();
}

/** Writes a new secret's file; an existing one is refused with the system's EEXIST as the cause. */
export async function writeSecretFile(path: string, text: string): Promise<void> {
  // A file that appears under its name is whole: others may read it at once.
  const draft = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(`${text}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    try {
      await link(draft, path);
    } finally {
      await unlink(draft);
    }
  } catch (error) {
    throw new SecretFileError(`${path} cannot be written: ${reasonOf(error)}`, { cause: error });
  }
}

/** Reads a secret's file, or makes it; of several processes that make it at once, one wins. */
export async function loadOrCreateSecretFile(path: string, create: () => string): Promise<string> {
  try {
    return await readSecretFile(path);
  } catch (error) {
    if (!isSystemError(error, "ENOENT")) throw error;
  }
  try {
    await writeSecretFile(path, create());
  } catch (error) {
    if (!isSystemError(error, "EEXIST")) throw error;
  }
  return readSecretFile(path);
}

function isSystemError(error: unknown, code: string): boolean {
  const cause = error instanceof SecretFileError ? error.cause : undefined;
  return cause instanceof Error && "code" in cause && cause.code === code;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

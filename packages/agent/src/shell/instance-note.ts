// SPDX-License-Identifier: Apache-2.0
// The note in the state directory of who has it: by it a restarted agent names whom it takes over (T6).

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatRef, type NumberedRef, parseRef } from "@remex/domain";
import type { FormerInstance } from "../session/agent-state.ts";

function fileOf(stateDir: string): string {
  return join(stateDir, "instance");
}

/** Notes the instance and its session; only a holder of the lock has a session. */
export function noteInstance(stateDir: string, instance: Uint8Array, session: NumberedRef): void {
  const text = `${Buffer.from(instance).toString("hex")}\n${formatRef(session)}\n`;
  writeFileSync(fileOf(stateDir), text, { mode: 0o600 });
}

/**
 * Notes who holds the lock now, and tells whether another instance held it since this one did: then that
 * one may have taken this one's session over, and this one is over (ADR 0011). Call it under the lock.
 */
export function takeOwnership(stateDir: string, instance: Uint8Array, held: boolean): boolean {
  const path = join(stateDir, "owner");
  const own = Buffer.from(instance).toString("hex");
  if (held && readText(path)?.trim() !== own) return false;
  writeFileSync(path, `${own}\n`, { mode: 0o600 });
  return true;
}

/** Who is noted; undefined when nobody is. */
export function readFormerInstance(stateDir: string): FormerInstance | undefined {
  // The first agent of a directory finds none; without a claim a living name stays a conflict, which is safe.
  const [instance = "", session = ""] = readText(fileOf(stateDir))?.split("\n") ?? [];
  if (!/^[0-9a-f]{32}$/.test(instance)) return undefined;
  return { instance: Buffer.from(instance, "hex"), session: parseRef(session) };
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // It is not there.
    return undefined;
  }
}

// SPDX-License-Identifier: Apache-2.0
// Where the runner's socket is, in a form that the system takes however long the folder's name is.

import { openSync } from "node:fs";
import { join } from "node:path";

/** Most bytes of a socket's path: 108 on Linux, 104 on macOS, with the closing NUL. */
const mostPathBytes = 103;

/** The socket's file. */
export function socketPathOf(stateDir: string): string {
  return join(stateDir, "runner.sock");
}

/**
 * A path to bind or connect to. A folder whose name is too long is opened and named through its
 * descriptor, which stays open for the life of the process.
 */
export function shortSocketPath(stateDir: string): string {
  const path = socketPathOf(stateDir);
  if (Buffer.byteLength(path) <= mostPathBytes) return path;
  return join(`/proc/self/fd/${openFolderOnce(stateDir)}`, "runner.sock");
}

const openFolders = new Map<string, number>();

function openFolderOnce(path: string): number {
  const known = openFolders.get(path);
  if (known !== undefined) return known;
  const folder = openSync(path, "r");
  openFolders.set(path, folder);
  return folder;
}

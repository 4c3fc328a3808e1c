// SPDX-License-Identifier: Apache-2.0
// The state directory's lock: held by one runner, so that whoever holds it knows no other one works here.

import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";

/** What taking the lock came to. */
export type LockOutcome =
  | { readonly kind: "held"; readonly file: number }
  /** Another runner, or work that it left behind, holds it. */
  | { readonly kind: "taken"; readonly message: string }
  /** The lock would mean nothing here. */
  | { readonly kind: "unsuitable"; readonly message: string }
  /** There is no flock(1): the runner works, and says what it cannot promise. */
  | { readonly kind: "unguarded"; readonly message: string };

/**
 * Takes the lock of a state directory. Node has no flock of its own: flock(1) locks the descriptor that
 * it inherits, and the lock stays with the open file after flock(1) has ended, until every process that
 * inherited the descriptor has ended. Node opens files close-on-exec, so tasks do not get it.
 */
export function takeStateLock(stateDir: string): LockOutcome {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const network = networkFileSystem(stateDir);
  if (network !== undefined) {
    return {
      kind: "unsuitable",
      message:
        `the state directory ${stateDir} is on ${network}, where a lock does not prove that nothing ` +
        "else runs; give --state-dir a directory of a local disk",
    };
  }
  const file = openSync(join(stateDir, "lock"), "a+", 0o600);
  const { error, status, stderr } = spawnSync("flock", ["-n", "3"], {
    stdio: ["ignore", "ignore", "pipe", file],
  });
  if (error !== undefined) {
    return {
      kind: "unguarded",
      message:
        "flock(1) is not installed (package util-linux), so two runners on one state directory are " +
        `not kept apart: never start two agents on ${stateDir}`,
    };
  }
  if (status === 0) return { kind: "held", file };
  closeSync(file);
  const detail = stderr.toString("utf8").trim();
  return {
    kind: "taken",
    message:
      `the state directory ${stateDir} is locked by another runner; stop that agent, or give this one ` +
      `a --state-dir of its own${detail === "" ? "" : ` (${detail})`}`,
  };
}

/** File systems whose locks other hosts may not see, or that keep none. */
const networkTypes: ReadonlySet<string> = new Set([
  "9p",
  "afs",
  "beegfs",
  "ceph",
  "cifs",
  "fuse",
  "glusterfs",
  "gpfs",
  "lustre",
  "ncpfs",
  "nfs",
  "nfs4",
  "ocfs2",
  "orangefs",
  "smb3",
  "smbfs",
  "virtiofs",
  "vboxsf",
]);
/** The one kind of user-space file system that is the host's own: a container's layers. */
const localFuse = "fuse.fuse-overlayfs";

/** The type of the file system when it is one that is shared between hosts. */
function networkFileSystem(path: string): string | undefined {
  const type = fileSystemType(realpathSync(path));
  return type !== undefined && isShared(type) ? type : undefined;
}

/** Whether a lock on this type of file system proves nothing about other hosts, or about anything. */
export function isShared(type: string): boolean {
  return networkTypes.has(type) || (type.startsWith("fuse.") && type !== localFuse);
}

function fileSystemType(path: string): string | undefined {
  let mounts: string;
  try {
    mounts = readFileSync("/proc/self/mountinfo", "utf8");
  } catch {
    // No /proc (macOS): the type stays unknown, and flock(1) is missing there as well.
    return undefined;
  }
  return typeOfMount(mounts, path);
}

/** The type of the file system that `path` is on, from the text of /proc/self/mountinfo. */
export function typeOfMount(mountinfo: string, path: string): string | undefined {
  let longest = -1;
  let type: string | undefined;
  for (const line of mountinfo.split("\n")) {
    const [before, after] = line.split(" - ");
    const point = before?.split(" ")[4]?.replace(/\\040/g, " ");
    if (point === undefined || after === undefined || !contains(point, path)) continue;
    // Of two mounts on one point the later line is the one that is seen.
    if (point.length >= longest) {
      longest = point.length;
      type = after.split(" ")[0];
    }
  }
  return type;
}

function contains(point: string, path: string): boolean {
  return point === "/" || path === point || path.startsWith(`${point}/`);
}

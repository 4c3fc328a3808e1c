// SPDX-License-Identifier: Apache-2.0
// How the leader of an attempt is started and spoken to: leader.pl parents the work and holds the lock.

import { accessSync, constants } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** What a runner starts leaders with. */
export interface LeaderProgram {
  /** Perl and the script. */
  readonly command: readonly [string, string];
  /** Number of the system call prctl; 0 where there is none. */
  readonly prctl: number;
  /** Descriptor of the state directory's lock, which every leader inherits. */
  readonly lockFile: number;
}

/** What the leader says on its control socket; see leader.pl. */
export type LeaderSays =
  | { readonly kind: "started"; readonly pid: number }
  | { readonly kind: "failed"; readonly errno: number };

/** prctl's number by Node's name of the architecture. */
const prctlNumbers: Readonly<Record<string, number>> = {
  x64: 157,
  arm64: 167,
  riscv64: 167,
  loong64: 167,
  arm: 172,
  ia32: 172,
  ppc64: 171,
  s390x: 172,
};

const perlPaths = ["/usr/bin/perl", "/usr/local/bin/perl"] as const;

/** The leader of this system; undefined where there is no Perl. */
export function findLeader(lockFile: number): LeaderProgram | undefined {
  const perl = perlPaths.find(isExecutable);
  if (perl === undefined) return undefined;
  const script = join(dirname(fileURLToPath(import.meta.url)), "leader.pl");
  const prctl = process.platform === "linux" ? (prctlNumbers[process.arch] ?? 0) : 0;
  return { command: [perl, script], prctl, lockFile };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Not there: the next place is tried.
    return false;
  }
}

/** A task's variables as its leader takes them: none of them is meant for the leader itself. */
export function leaderEnvironment(task: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(task).map(([name, value]) => [`T_${name}`, value]));
}

/** Reads a line of the leader; undefined when it is none. */
export function parseLeaderLine(line: string): LeaderSays | undefined {
  const match = /^(!?)(\d+)$/.exec(line);
  if (match === null) return undefined;
  const number = Number(match[2]);
  return match[1] === "!" ? { kind: "failed", errno: number } : { kind: "started", pid: number };
}

// SPDX-License-Identifier: Apache-2.0
// Finds and signals every process of an attempt, whatever its group, session or parent.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";

/** Variables by which the processes of an attempt are known: every descendant inherits them. */
export interface AttemptCookie {
  /** See `runnerMark`: two installations on one host may have a task and attempt of the same name. */
  readonly runner: string;
  readonly task: string;
  /** "epoch.number". */
  readonly attempt: string;
}

/** Names the runners of one state directory, of which one at a time holds the lock. */
export function runnerMark(stateDir: string): string {
  return createHash("sha256").update(stateDir).digest("hex").slice(0, 16);
}

/** The cookie as environment variables (PROTOCOL G2). */
export function cookieVariables(cookie: AttemptCookie): Record<string, string> {
  return { REMEX_TASK: cookie.task, REMEX_ATTEMPT: cookie.attempt, REMEX_RUNNER: cookie.runner };
}

/**
 * Processes that carry one of the cookies, by attempt. One walk over /proc serves all of them; 2 ms per
 * hundred processes. Where there is no /proc (macOS) it finds none, and only process groups are stopped.
 * A process that cleans its environment is missed: it is reached by its group alone.
 */
export function findProcesses(cookies: readonly AttemptCookie[]): Map<string, number[]> {
  const found = new Map<string, number[]>();
  if (cookies.length === 0) return found;
  const wanted = new Map(cookies.map((cookie) => [cookieMark(cookie), markOf(cookie)]));
  for (const name of processNames()) {
    const mark = wanted.get(markIn(environmentOf(name)));
    if (mark === undefined) continue;
    const processes = found.get(mark) ?? [];
    processes.push(Number(name));
    found.set(mark, processes);
  }
  return found;
}

/** The name under which `findProcesses` gives the processes of an attempt. */
export function markOf(cookie: AttemptCookie): string {
  return `${cookie.task}/${cookie.attempt}`;
}

/** The living processes below each of some others, without these. Orphans come to their subreaper. */
export function descendantsOf(roots: readonly number[]): number[] {
  const children = new Map<number, number[]>();
  for (const name of processNames()) {
    const parent = livingParentOf(name);
    if (parent === undefined) continue;
    const siblings = children.get(parent) ?? [];
    siblings.push(Number(name));
    children.set(parent, siblings);
  }
  const found = roots.flatMap((root) => children.get(root) ?? []);
  for (let next = 0; next < found.length; next++) {
    found.push(...(children.get(found[next] ?? 0) ?? []));
  }
  return found;
}

/** The parent of a process that has not ended; its name in parentheses may hold anything. */
function livingParentOf(name: string): number | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${name}/stat`, "latin1");
  } catch {
    // It ended meanwhile.
    return undefined;
  }
  const [state = "Z", parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ", 2);
  return state === "Z" || state === "X" ? undefined : Number(parent);
}

function cookieMark(cookie: AttemptCookie): string {
  return `${cookie.runner}\0${cookie.task}\0${cookie.attempt}`;
}

function markIn(environment: string): string {
  const task = variableOf(environment, "REMEX_TASK=");
  const attempt = variableOf(environment, "REMEX_ATTEMPT=");
  const runner = variableOf(environment, "REMEX_RUNNER=");
  return `${runner}\0${task}\0${attempt}`;
}

function variableOf(environment: string, prefix: string): string | undefined {
  const start = environment.startsWith(prefix) ? 0 : environment.indexOf(`\0${prefix}`);
  if (start < 0) return undefined;
  const from = (environment[start] === "\0" ? start + 1 : start) + prefix.length;
  const end = environment.indexOf("\0", from);
  return environment.slice(from, end < 0 ? undefined : end);
}

function processNames(): string[] {
  try {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    // No /proc on this system; see findProcesses.
    return [];
  }
}

function environmentOf(process: string): string {
  try {
    return readFileSync(`/proc/${process}/environ`, "latin1");
  } catch {
    // It ended meanwhile, or belongs to another user and cannot be a task of ours.
    return "";
  }
}

/** Signals one process, or with a negative id a process group. False when there is none left. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    // EPERM: it exists, and has made itself another user's; it cannot be ended by us.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

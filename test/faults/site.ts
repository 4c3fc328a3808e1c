// SPDX-License-Identifier: Apache-2.0
// Agents that are harmed: each can be killed, paused, and started again over its own state directory.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createTempDir } from "../kit/places.ts";
import { type Program, startProgram } from "../kit/program.ts";

const agentMain = fileURLToPath(new URL("../../packages/agent/src/main.ts", import.meta.url));

/** Which of an agent's processes are meant: "host" is everything on it, its tasks too. */
export type Part = "agent" | "runner" | "host";

export interface SiteAgent {
  readonly name: string;
  /** Starts it, or starts it again. */
  start(): void;
  /** The living processes of a part. */
  pids(part: Part): number[];
  /** Signals a part; the number of processes that it reached. */
  signal(part: Part, signal: NodeJS.Signals): number;
  output(): string;
  stop(): Promise<void>;
}

export interface SiteOptions {
  readonly port: number;
  readonly token: string;
  readonly name: string;
  readonly slots: number;
  readonly args?: readonly string[];
}

export async function createSiteAgent(options: SiteOptions): Promise<SiteAgent> {
  const folder = await createTempDir();
  const tokenFile = join(folder.path, "token");
  const stateDir = join(folder.path, "state");
  await writeFile(tokenFile, `${options.token}\n`, { mode: 0o600 });
  const args = [
    agentMain,
    ...["--url", `http://127.0.0.1:${options.port}`, "--token-file", tokenFile],
    ...["--name", options.name, "--state-dir", stateDir, "--slots", String(options.slots)],
    ...["--log-level", "warn", ...(options.args ?? [])],
  ];
  const programs: Program[] = [];
  const pids = (part: Part): number[] => {
    const tree = descendants(programs.map(({ pid }) => pid));
    const own = tree.filter((pid) => commandOf(pid).includes(agentMain));
    const runners = tree.filter((pid) => commandOf(pid).includes("runner/main"));
    if (part === "agent") return own;
    if (part === "runner") return runners;
    return [...new Set([...tree, ...withMark(stateDir)])];
  };
  return {
    name: options.name,
    start: () => void programs.push(startProgram(process.execPath, args)),
    pids,
    signal: (part, signal) => pids(part).filter((pid) => send(pid, signal)).length,
    output: () => programs.map((program) => program.output()).join("\n"),
    stop: async () => {
      for (const pid of pids("host")) send(pid, "SIGCONT");
      await Promise.all(programs.map((program) => program.stop()));
      for (const pid of withMark(stateDir)) send(pid, "SIGKILL");
      await folder[Symbol.asyncDispose]();
    },
  };
}

function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    // It ended a moment ago, which is no harm done.
    return false;
  }
}

function read(pid: number | string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    return "";
  }
}

function commandOf(pid: number): string {
  return read(pid, "cmdline").replaceAll("\0", " ");
}

function allPids(): number[] {
  return readdirSync("/proc").map(Number).filter(Number.isInteger);
}

function descendants(roots: readonly number[]): number[] {
  const parents = new Map<number, number>();
  for (const pid of allPids()) {
    const stat = read(pid, "stat");
    parents.set(pid, Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
  }
  const under = (pid: number | undefined): boolean =>
    pid !== undefined && pid > 1 && (roots.includes(pid) || under(parents.get(pid)));
  return [...parents.keys()].filter(under);
}

/** Processes that a runner of the state directory marked as its tasks: they may have lost their parent. */
function withMark(stateDir: string): number[] {
  const mark = createHash("sha256").update(stateDir).digest("hex").slice(0, 16);
  return allPids().filter((pid) => read(pid, "environ").includes(`REMEX_RUNNER=${mark}`));
}

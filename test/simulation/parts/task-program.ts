// SPDX-License-Identifier: Apache-2.0
// What tasks of the simulation run: a program that works for a while, and notes that it began and ended.

import type { SimProcess, World } from "../engine/world.ts";
import type { Program, RunningProgram } from "../os/programs.ts";

/** How a program of a task behaves; travels as its arguments. */
export interface TaskBehaviour {
  readonly runMs: number;
  readonly exitCode: number;
  /** What it needs after TERM; -1 when it ignores TERM. */
  readonly termMs: number;
}

/** Sees work begin and end on machines: the one truth about what ran. */
export interface WorkWatcher {
  began(work: Work): void;
  ended(work: Work, how: string): void;
}

export interface Work {
  readonly host: string;
  readonly pid: number;
  readonly task: string;
  readonly attempt: string;
}

const watchers = new WeakMap<World, WorkWatcher>();

export function watchWork(world: World, watcher: WorkWatcher): void {
  watchers.set(world, watcher);
}

export function taskCommand(behaviour: TaskBehaviour): string[] {
  const { runMs, exitCode, termMs } = behaviour;
  return ["/sim/task", String(runMs), String(exitCode), String(termMs)];
}

/**
 * The program of a task, alone or under its leader. With a leader the two are one process here: the leader
 * says that the work runs, stops it by the runner's word or end, and ends as the work ends.
 */
export function taskProgram(world: World, led: boolean): Program {
  const working = new Map<SimProcess, Work>();
  return {
    name: led ? "leader" : "task",
    startMs: led ? leaderStartMs : 0,
    onSpawn(process, environment) {
      const name = (variable: string) => environment[led ? `T_${variable}` : variable] ?? "";
      const task = name("REMEX_TASK");
      const work = { host: process.host, pid: process.pid, task, attempt: name("REMEX_ATTEMPT") };
      working.set(process, work);
      watchers.get(world)?.began(work);
      // However it ends, a machine without power included.
      process.onKilled(() => {
        if (working.delete(process)) watchers.get(world)?.ended(work, "gone");
      });
    },
    run: (program, args) =>
      led
        ? runWork(world, program, args.slice(leaderArguments), Number(args[stopArgument]))
        : runWork(world, program, args, undefined),
    onExit(process, code, signal) {
      const work = working.get(process);
      if (work !== undefined) watchers.get(world)?.ended(work, signal ?? `exit ${code}`);
      working.delete(process);
    },
  };
}

/** Script, number of a system call, stop time and the work's program come before its arguments. */
const leaderArguments = 4;
const stopArgument = 2;
const leaderStartMs = 3;

function runWork(
  world: World,
  program: RunningProgram,
  args: readonly string[],
  stopMs: number | undefined,
): void {
  const { process } = program;
  const [runMs = 0, exitCode = 0, termMs = 0] = args.map(Number);
  world.after(runMs, process, "work done", () => program.exit(exitCode));
  const term = (): void => {
    if (termMs >= 0) world.after(termMs, process, "work stopped", () => program.exit(143));
  };
  if (stopMs === undefined) {
    program.onTerm = term;
    return;
  }
  program.onTerm = () => undefined;
  program.say(`${process.pid}\n`);
  let stopping = false;
  program.onSaid((text) => {
    if (stopping) return;
    stopping = true;
    const killMs = text === undefined ? stopMs : Number.parseInt(text, 10);
    term();
    world.after(killMs, process, "work killed", () => program.exit(0, "SIGKILL"));
  });
}

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

export function taskProgram(world: World): Program {
  const working = new Map<SimProcess, Work>();
  return {
    name: "task",
    startMs: 0,
    onSpawn(process, environment) {
      const { REMEX_TASK: task = "", REMEX_ATTEMPT: attempt = "" } = environment;
      const work = { host: process.host, pid: process.pid, task, attempt };
      working.set(process, work);
      watchers.get(world)?.began(work);
      // However it ends, a machine without power included.
      process.onKilled(() => {
        if (working.delete(process)) watchers.get(world)?.ended(work, "gone");
      });
    },
    run(program: RunningProgram, args) {
      const { process } = program;
      const [runMs = 0, exitCode = 0, termMs = 0] = args.map(Number);
      world.after(runMs, process, "work done", () => program.exit(exitCode));
      program.onTerm = () => {
        if (termMs >= 0) world.after(termMs, process, "work stopped", () => program.exit(143));
      };
    },
    onExit(process, code, signal) {
      const work = working.get(process);
      if (work !== undefined) watchers.get(world)?.ended(work, signal ?? `exit ${code}`);
      working.delete(process);
    },
  };
}

// SPDX-License-Identifier: Apache-2.0
// The programs that simulated machines have: found by the words of a command, as a shell would by its path.

import type { SimProcess, World } from "../engine/world.ts";

/** A program under way, as it sees itself. */
export interface RunningProgram {
  readonly process: SimProcess;
  readonly environment: Readonly<Record<string, string>>;
  /** Ends with a code, or as by a signal. */
  exit(code: number, signal?: string): void;
  /** What it does about TERM; ends at once unless it says otherwise. */
  onTerm: () => void;
  onInputClosed(listener: () => void): void;
  /** Says something to its parent on descriptor 4. */
  say(text: string): void;
  /** What its parent says there; nothing when the parent is gone. */
  onSaid(listener: (text: string | undefined) => void): void;
}

export interface Program {
  readonly name: string;
  /** How long it takes until its first instruction. */
  readonly startMs: number;
  /** The kernel has made its process; called at once. */
  onSpawn?(process: SimProcess, environment: Readonly<Record<string, string>>): void;
  run(program: RunningProgram, args: readonly string[]): void;
  onExit?(process: SimProcess, code: number | null, signal: string | null): void;
}

type Finder = (program: string, args: readonly string[]) => Program | undefined;

const finders = new WeakMap<World, Finder[]>();

export function addProgram(world: World, finder: Finder): void {
  finders.set(world, [...(finders.get(world) ?? []), finder]);
}

export function programFor(world: World, program: string, args: readonly string[]): Program {
  for (const find of finders.get(world) ?? []) {
    const found = find(program, args);
    if (found !== undefined) return found;
  }
  throw new Error(`the simulation has no program ${program} ${args.join(" ")}`);
}

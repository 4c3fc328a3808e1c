// SPDX-License-Identifier: Apache-2.0
// A simulated machine: its disk, whose synced part alone survives a crash, its processes and their signals.

import type { SimProcess, World } from "../engine/world.ts";

/** A file: what the system shows, and what is on the disk for certain. */
export interface SimFile {
  data: Buffer;
  synced: Buffer;
  modifiedAtMs: number;
}

/** An open file; shared by the processes that inherit it. */
export interface OpenFile {
  readonly path: string;
  file: SimFile;
  readonly holders: Set<SimProcess>;
}

/** A process as the machine's table shows it. */
export interface TableEntry {
  readonly process: SimProcess;
  readonly group: number;
  readonly environment: Readonly<Record<string, string>>;
  /** What it does about TERM; KILL ends it at once. */
  readonly onTerm: () => void;
  /** It ended, by itself or by a signal. */
  readonly onExit: (code: number | null, signal: string | null) => void;
}

export class Machine {
  readonly world: World;
  readonly host: string;
  readonly files = new Map<string, SimFile>();
  readonly table = new Map<number, TableEntry>();
  readonly descriptors = new Map<number, OpenFile>();
  /** Who holds the lock of a file. */
  readonly locks = new Map<string, OpenFile>();
  /** Listening sockets of the file system, by path. */
  readonly sockets = new Map<string, string>();
  #nextDescriptor = 20;
  #nextPort = 30_000;

  constructor(world: World, host: string) {
    this.world = world;
    this.host = host;
  }

  open(path: string, process: SimProcess, file: SimFile): number {
    const descriptor = this.#nextDescriptor++;
    const opened: OpenFile = { path, file, holders: new Set([process]) };
    this.descriptors.set(descriptor, opened);
    process.onKilled(() => this.#release(opened, process));
    return descriptor;
  }

  /** Another process has it too, as one that inherits a descriptor does. */
  inherit(descriptor: number, process: SimProcess): void {
    const opened = this.descriptors.get(descriptor);
    if (opened === undefined) return;
    opened.holders.add(process);
    process.onKilled(() => this.#release(opened, process));
  }

  close(descriptor: number, process: SimProcess): void {
    const opened = this.descriptors.get(descriptor);
    if (opened === undefined) return;
    this.#release(opened, process);
    this.descriptors.delete(descriptor);
  }

  #release(opened: OpenFile, process: SimProcess): void {
    opened.holders.delete(process);
    if (opened.holders.size === 0 && this.locks.get(opened.path) === opened) {
      this.locks.delete(opened.path);
    }
  }

  /** flock: true when the open file has the lock now. */
  lock(descriptor: number): boolean {
    const opened = this.descriptors.get(descriptor);
    if (opened === undefined) return false;
    const holder = this.locks.get(opened.path);
    if (holder !== undefined && holder !== opened) return false;
    this.locks.set(opened.path, opened);
    return true;
  }

  add(entry: TableEntry): void {
    this.table.set(entry.process.pid, entry);
  }

  /** Ends a process of the table and tells whoever waits for it. */
  exit(pid: number, code: number | null, signal: string | null): void {
    const entry = this.table.get(pid);
    if (entry === undefined) return;
    this.table.delete(pid);
    entry.onExit(code, signal);
    entry.process.kill();
  }

  /** Signals a process, or with a negative id a group; false when there is none. */
  signal(pid: number, signal: string): boolean {
    const hit =
      pid < 0
        ? [...this.table.values()].filter(({ group }) => group === -pid)
        : [this.table.get(pid)].filter((entry) => entry !== undefined);
    for (const entry of hit) {
      if (signal === "SIGKILL") this.exit(entry.process.pid, null, signal);
      else if (signal === "SIGTERM") entry.onTerm();
    }
    return hit.length > 0;
  }

  /** The machine loses power: everything ends, and only what was synced is left. */
  crash(): void {
    for (const { process } of [...this.table.values()]) process.kill();
    this.table.clear();
    this.descriptors.clear();
    this.locks.clear();
    this.sockets.clear();
    for (const file of this.files.values()) file.data = Buffer.from(file.synced);
  }

  nextPort(): number {
    return this.#nextPort++;
  }
}

const machines = new WeakMap<World, Map<string, Machine>>();

export function machineOf(process: SimProcess): Machine {
  return machineNamed(process.world, process.host);
}

export function machineNamed(world: World, host: string): Machine {
  const known = machines.get(world) ?? new Map<string, Machine>();
  machines.set(world, known);
  const machine = known.get(host) ?? new Machine(world, host);
  known.set(host, machine);
  return machine;
}

// SPDX-License-Identifier: Apache-2.0
// Stands for node:child_process under a simulated agent and runner: programs of the simulation.

import { EventEmitter } from "node:events";
import { theProcess } from "../engine/globals.ts";
import type { SimProcess } from "../engine/world.ts";
import { machineOf } from "./machine.ts";
import { programFor, type RunningProgram } from "./programs.ts";

export interface SpawnOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdio?: readonly unknown[];
  readonly detached?: boolean;
}

/** The parent's end of a child's standard input. */
class InputPipe extends EventEmitter {
  readonly #closed: () => void;
  #open = true;

  constructor(closed: () => void) {
    super();
    this.#closed = closed;
  }

  end(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#closed();
  }
}

/** The parent's end of a socket to its child, beyond the three usual descriptors. */
class ControlSocket extends EventEmitter {
  readonly #process: SimProcess;
  readonly #toChild: (bytes: Buffer) => void;

  constructor(process: SimProcess, toChild: (bytes: Buffer) => void) {
    super();
    this.#process = process;
    this.#toChild = toChild;
  }

  write(text: string): boolean {
    this.#toChild(Buffer.from(text));
    return true;
  }

  said(text: string): void {
    const { world } = this.#process;
    world.after(socketMs, this.#process, "control", () => {
      this.emit("data", Buffer.from(text));
    });
  }
}

/** What a byte needs between a process and its child. */
const socketMs = 0.1;

export class ChildProcess extends EventEmitter {
  readonly pid: number;
  readonly stdin: InputPipe | null;
  readonly stdio: readonly unknown[];
  exitCode: number | null = null;
  signalCode: string | null = null;
  readonly #parent: SimProcess;

  constructor(
    parent: SimProcess,
    pid: number,
    stdin: InputPipe | null,
    control: ControlSocket | undefined,
  ) {
    super();
    this.#parent = parent;
    this.pid = pid;
    this.stdin = stdin;
    this.stdio = [stdin, null, null, null, control ?? null];
  }

  kill(signal = "SIGTERM"): boolean {
    return machineOf(this.#parent).signal(this.pid, signal);
  }

  unref(): void {}
}

export function spawn(
  program: string,
  args: readonly string[],
  options: SpawnOptions,
): ChildProcess {
  const parent = theProcess();
  const { world } = parent;
  const machine = machineOf(parent);
  const start = programFor(world, program, args);
  const process = world.createProcess(`${start.name}-${world.nextPid()}`, parent.host, {
    rate: parent.rate,
    wallOffsetMs: parent.wallOffsetMs,
  });
  for (const stdio of options.stdio ?? []) {
    if (typeof stdio === "number") machine.inherit(stdio, process);
  }
  const hasInput = options.stdio?.[0] === "pipe";
  let inputClosed = (): void => undefined;
  const closeInput = (): void => {
    world.after(0.05, process, "input closed", () => inputClosed());
  };
  const input = hasInput ? new InputPipe(closeInput) : null;
  // The kernel closes the parent's end of the pipe when the parent is gone.
  if (hasInput) parent.onKilled(closeInput);
  let heard = (_text: string | undefined): void => undefined;
  const tell = (text: string | undefined): void => {
    world.after(socketMs, process, "control", () => heard(text));
  };
  const control =
    options.stdio?.[4] === "pipe"
      ? new ControlSocket(parent, (bytes) => tell(bytes.toString()))
      : undefined;
  if (control !== undefined) parent.onKilled(() => tell(undefined));
  const child = new ChildProcess(parent, process.pid, input, control);
  const running: RunningProgram = {
    process,
    environment: options.env ?? {},
    exit: (code, signal) =>
      machine.exit(process.pid, signal === undefined ? code : null, signal ?? null),
    onTerm: () => machine.exit(process.pid, null, "SIGTERM"),
    onInputClosed: (listener) => {
      inputClosed = listener;
    },
    say: (text) => control?.said(text),
    onSaid: (listener) => {
      heard = listener;
    },
  };
  machine.add({
    process,
    group: options.detached === true ? process.pid : parent.pid,
    environment: options.env ?? {},
    onTerm: () => running.onTerm(),
    onExit: (code, signal) => {
      start.onExit?.(process, code, signal);
      world.after(0.1, parent, "child ended", () => {
        child.exitCode = code;
        child.signalCode = signal;
        child.emit("exit", code, signal);
        child.emit("close", code, signal);
      });
    },
  });
  start.onSpawn?.(process, options.env ?? {});
  world.after(start.startMs, process, "program starts", () => start.run(running, args));
  return child;
}

/** flock(1) alone is run this way: it locks the descriptor that it is given as its third. */
export function spawnSync(
  program: string,
  _args: readonly string[],
  options: SpawnOptions,
): { readonly status: number; readonly stderr: Buffer; readonly error?: Error } {
  if (program !== "flock") throw new Error(`the simulation has no program ${program}`);
  const descriptor = options.stdio?.[3];
  const held = typeof descriptor === "number" && machineOf(theProcess()).lock(descriptor);
  return { status: held ? 0 : 1, stderr: Buffer.alloc(0) };
}

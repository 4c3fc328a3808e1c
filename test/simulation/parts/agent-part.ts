// SPDX-License-Identifier: Apache-2.0
// An agent of the simulation: the real agent and its real process runner, as two processes of one machine.

import { basename } from "node:path";
import { AgentKind } from "@remex/proto/common/v1";
import { shortSocketPath } from "../../../packages/agent/src/contract/socket-path.ts";
import {
  StateRefusal,
  startProcessRunner,
} from "../../../packages/agent/src/runner/process-runner.ts";
import { Agent } from "../../../packages/agent/src/shell/agent.ts";
import {
  noteInstance,
  readFormerInstance,
  takeOwnership,
} from "../../../packages/agent/src/shell/instance-note.ts";
import { RunnerKeeper } from "../../../packages/agent/src/shell/runner-keeper.ts";
import type { SimProcess, World } from "../engine/world.ts";
import { machineNamed } from "../os/machine.ts";
import { spawn } from "../os/sim-child-process.ts";
import { addProgram, type Program, type RunningProgram } from "../os/programs.ts";
import { registriesAddress } from "./addresses.ts";
import { clockOf, logOf } from "./fittings.ts";
import { taskProgram } from "./task-program.ts";

/** How an agent of the simulation is set up. */
export interface AgentSetup {
  readonly name: string;
  readonly host: string;
  readonly slots: number;
  readonly queues: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly rate: number;
  /** Whether the machine starts the runner, as a container beside the agent's, and not the agent. */
  readonly sidecar: boolean;
  /** The value of its token, as its token file has it now. */
  readToken(): string;
}

const stateDir = "/state";
const runnerProgram = "/sim/remex-runner";

/** Makes the programs known that agents start. */
export function addAgentPrograms(world: World): void {
  const runner: Program = { name: "runner", startMs: 20, run: runRunner };
  addProgram(world, (program) => (program === runnerProgram ? runner : undefined));
  const alone = taskProgram(world, false);
  const led = taskProgram(world, true);
  addProgram(world, (program, [script = ""]) => {
    if (basename(script) === "leader.pl") return led;
    return basename(program) === "task" ? alone : undefined;
  });
}

function runRunner({ process, exit, ...program }: RunningProgram, _args: readonly string[]): void {
  const log = logOf(process);
  startProcessRunner({
    stateDir,
    clock: clockOf(process),
    log,
    environment: {},
    softwareVersion: "0.1.0",
    onEnded: () => exit(0),
    onBroken: () => exit(1),
  }).then(
    (runner) => {
      program.onInputClosed(() => runner.stop());
    },
    (error: unknown) => {
      if (!(error instanceof StateRefusal)) throw error;
      log.error({ reason: error.message }, "the state directory cannot be used");
      exit(75);
    },
  );
}

/** How long a machine takes to start a container again. */
const restartMs = 300;

/** Starts the runner of a sidecar where none lives, and again whenever it has ended. */
function keepSidecar(world: World, setup: AgentSetup): void {
  const machine = machineNamed(world, setup.host);
  const lives = [...machine.table.values()].some(({ process }) =>
    process.name.startsWith("runner"),
  );
  if (lives) return;
  const { rate, host } = setup;
  const supervisor = world.createProcess(`supervisor-${host}#${world.nextPid()}`, host, {
    rate,
    wallOffsetMs: 0,
  });
  world.after(0, supervisor, "container", () => {
    const runner = spawn(runnerProgram, [], { stdio: ["ignore"], detached: true });
    runner.once("exit", () => {
      world.after(restartMs, supervisor, "container again", () => keepSidecar(world, setup));
    });
  });
}

/** A started agent process. */
export interface StartedAgent {
  readonly process: SimProcess;
  readonly drain: (reason: string) => void;
}

/** Starts the agent process; its keeper starts the runner. */
export function startAgent(world: World, setup: AgentSetup): StartedAgent {
  const { name, host, rate } = setup;
  const process = world.createProcess(`${name}#${world.nextPid()}`, host, {
    rate,
    wallOffsetMs: 0,
  });
  const machine = machineNamed(world, host);
  let agent: Agent | undefined;
  machine.add({
    process,
    group: process.pid,
    environment: {},
    onTerm: () => world.after(0, process, "SIGTERM", () => agent?.drain("SIGTERM", undefined)),
    onExit: () => undefined,
  });
  if (setup.sidecar) keepSidecar(world, setup);
  world.after(1, process, "start", () => {
    agent = begin(setup, process, () => machine.exit(process.pid, 0, null));
  });
  return {
    process,
    drain: (reason) => world.after(0, process, "drain", () => agent?.drain(reason, undefined)),
  };
}

function begin(setup: AgentSetup, process: SimProcess, onGone: () => void): Agent {
  const clock = clockOf(process);
  const log = logOf(process);
  const instance = new Uint8Array(16).map(() => process.random.int(0, 255));
  const keeper = new RunnerKeeper({
    command: setup.sidecar ? undefined : [runnerProgram, "--state-dir", stateDir],
    socketPath: shortSocketPath(stateDir),
    environment: {},
    agent: setup.name,
    instance,
    clock,
    log,
    onEvents: (events) => agent.takeRunnerEvents(events),
    onLost: () => agent.noteRunnerLost(),
    onLocked: () => agent.noteStateLocked(),
  });
  const agent: Agent = new Agent({
    name: setup.name,
    kind: AgentKind.WORKER,
    queues: setup.queues,
    labels: setup.labels,
    slots: setup.slots,
    group: "",
    hostname: setup.host,
    instance,
    stateDir,
    channel: { address: registriesAddress } as never,
    readToken: setup.readToken,
    tellRunner: (event) => keeper.send(event),
    onUnreachable: () => undefined,
    former: readFormerInstance(stateDir),
    onRunner: (held) => takeOwnership(stateDir, instance, held),
    onOverthrown: onGone,
    onSession: (session) => noteInstance(stateDir, instance, session),
    onLeft: () =>
      void keeper
        .stop()
        .then(() => agent.close())
        .then(onGone),
    clock,
    log,
    metrics: { dials: { inc: () => undefined }, note: () => undefined },
    random: () => process.random.next(),
  });
  void agent.start().then(() => keeper.start());
  return agent;
}

// SPDX-License-Identifier: Apache-2.0
// Builds the process runner on a state directory: lock, journal, what an older one left, socket.

import { join } from "node:path";
import { builtinTriggers, triggerRuntime } from "@remex/domain";
import { type Clock, type Logger, sleep } from "@remex/runtime";
import { removeOldLogs } from "./attempt-log.ts";
import { Journal } from "./journal.ts";
import { findLeader, type LeaderProgram } from "./leader.ts";
import { abandonedOutcome } from "./outcome.ts";
import { type AttemptCookie, findProcesses, runnerMark, signalProcess } from "./process-tree.ts";
import { RunnerServer } from "./runner-server.ts";
import { RunnerShell } from "./runner-shell.ts";
import { takeStateLock } from "./state-lock.ts";
import { createTriggerIo, type TriggerIo } from "./triggers/trigger-io.ts";

export interface ProcessRunnerOptions {
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly environment: Readonly<Record<string, string>>;
  readonly softwareVersion: string;
  /** What triggers reach outside; the real world when absent. */
  readonly triggerIo?: TriggerIo;
  /** How long a lock that is held is waited for; absent: twice the default stop time (PROTOCOL T6). */
  readonly lockWaitMs?: number;
  /** Everything has ended, the journal is synced and the socket is gone. */
  readonly onEnded: () => void;
  /** The disk refuses: nothing can be promised any more. */
  readonly onBroken: (error: Error) => void;
}

export interface ProcessRunner {
  /** Stops all work and ends; `onEnded` follows. */
  stop(): void;
}

/** The state directory cannot be used; the message says why and what to do. */
export class StateRefusal extends Error {
  override readonly name = "StateRefusal";
  /** True when somebody holds the lock: waiting can help. */
  readonly locked: boolean;

  constructor(message: string, locked: boolean) {
    super(message);
    this.locked = locked;
  }
}

/** Logs of tasks that nothing was written to for so long are removed at the start and once an hour. */
const logRetentionMs = 24 * 3_600_000;
const logSweepMs = 3_600_000;
const defaultLockWaitMs = 12_000;
/** How often a lock that somebody holds is tried. */
const lockTryMs = 250;

/** Starts a runner; rejects with a `StateRefusal` when the state directory cannot be used. */
export async function startProcessRunner(options: ProcessRunnerOptions): Promise<ProcessRunner> {
  const { stateDir, clock, log } = options;
  const leader = await lockState(options);
  const journal = new Journal({
    path: join(stateDir, "journal"),
    onBroken: (error) => {
      log.fatal({ err: error }, "the journal cannot be written");
      options.onBroken(error);
    },
  });
  settleOlderAttempts(stateDir, journal, clock.wallMs(), log);
  const shell: RunnerShell = new RunnerShell({
    stateDir,
    journal,
    clock,
    log,
    environment: options.environment,
    triggerIo: options.triggerIo ?? createTriggerIo(),
    leader,
    send: (event) => server.send(event),
    sendLazily: (event) => server.sendLazily(event),
    onExit: () => void server.close().finally(options.onEnded),
  });
  const server: RunnerServer = new RunnerServer({
    stateDir,
    log,
    softwareVersion: options.softwareVersion,
    runtimes: ["command", "noop", triggerRuntime(builtinTriggers)],
    runtimeVersions: { node: process.versions.node },
    journal: () => journal.entries(),
    onEvents: (events) => shell.take(events),
    onAgentGone: () => shell.close(),
  });
  await server.listen();
  sweepLogs(stateDir, clock, log);
  clock.every(logSweepMs, () => sweepLogs(stateDir, clock, log));
  log.info({ stateDir, running: journal.entries().length }, "runner is listening");
  return { stop: () => shell.close() };
}

/** Takes the lock; gives what starts leaders that keep it. */
async function lockState(options: ProcessRunnerOptions): Promise<LeaderProgram | undefined> {
  const { log } = options;
  const lock = await waitForLock(options);
  switch (lock.kind) {
    case "held": {
      const leader = findLeader(lock.file);
      if (leader === undefined) log.warn({ reason: noLeader }, "attempts have no leaders");
      return leader;
    }
    case "unguarded":
      log.warn({ reason: lock.message }, "the state directory is not locked");
      return undefined;
    case "taken":
      throw new StateRefusal(lock.message, true);
    case "unsuitable":
      throw new StateRefusal(lock.message, false);
    default:
      return lock satisfies never;
  }
}

const noLeader =
  "there is no Perl (package perl-base), which leads attempts: what runs may outlive a runner that is " +
  "killed until the next one on this state directory ends it";

/** The work of an older runner needs the stop time to end, and keeps the lock until then (T6). */
async function waitForLock({ stateDir, clock, lockWaitMs }: ProcessRunnerOptions) {
  const untilMs = clock.nowMs() + (lockWaitMs ?? defaultLockWaitMs);
  for (;;) {
    const lock = takeStateLock(stateDir);
    if (lock.kind !== "taken" || clock.nowMs() >= untilMs) return lock;
    await sleep(clock, lockTryMs);
  }
}

/**
 * Attempts that an older runner left without an outcome: what still runs of them is ended, then they
 * are recorded as aborted. The lock is held, so no runner watches them any more.
 */
function settleOlderAttempts(
  stateDir: string,
  journal: Journal,
  wallMs: number,
  log: Logger,
): void {
  const open = journal.entries().filter((entry) => entry.outcome === undefined);
  if (open.length === 0) return;
  const runner = runnerMark(stateDir);
  const cookies = open.map(
    (entry): AttemptCookie => ({
      runner,
      task: entry.task ?? "",
      attempt: `${entry.attempt?.epoch ?? 0}.${entry.attempt?.number ?? 0}`,
    }),
  );
  endProcesses(cookies);
  for (const entry of open) {
    const { task = "", attempt } = entry;
    const ref = { epoch: String(attempt?.epoch ?? 0), number: String(attempt?.number ?? 0) };
    log.warn({ task, attempt: `${ref.epoch}.${ref.number}` }, "attempt of an older runner aborted");
    journal.note({
      record: "ended",
      name: { task, attempt: ref },
      outcome: abandonedOutcome(wallMs),
    });
  }
  journal.sync();
}

/** Walks again until nothing is found: a process may fork while it is being ended. */
function endProcesses(cookies: readonly AttemptCookie[]): void {
  const mostWalks = 50;
  for (let walk = 0; walk < mostWalks; walk++) {
    const pids = [...findProcesses(cookies).values()].flat();
    if (pids.length === 0) return;
    for (const pid of pids) signalProcess(pid, "SIGKILL");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  }
}

function sweepLogs(stateDir: string, clock: Clock, log: Logger): void {
  const removed = removeOldLogs(stateDir, clock.wallMs(), logRetentionMs);
  if (removed > 0) log.info({ removed }, "old logs removed");
}

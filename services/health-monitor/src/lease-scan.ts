// SPDX-License-Identifier: Apache-2.0
// Judges ages all the time, deployment by deployment (PROTOCOL L2), by what this monitor can hear (L3).
import { clockJumpMs, type StoreClockReading } from "@remex/domain";
import type { CancelTimer, Clock } from "@remex/runtime";
import type { Brake, ExpireReply, LeaseVerdict, MonitorView } from "@remex/store";

/** How often every deployment is scanned. */
export const scanEveryMs = 250;
/** Most agents judged in one call, so that one call never keeps Redis busy for long. */
export const scanRows = 500;
/** Deployments scanned at once: a scan that takes too long would count as a gap (L3). */
const scannedAtOnce = 20;

/** Agents that are long gone are forgotten with every so manyth scan: once in a minute. */
const scansPerForget = 240;

/** A jump of the store's clock is told when it is larger than this (T2: the shortest interval). */
const jumpAllowedMs = 1_000;

export interface LeaseScanDeps {
  readonly clock: Clock;
  listDeployments(): Promise<readonly string[]>;
  look(): Promise<Pick<MonitorView, "monitor" | "heard" | "living">>;
  expire(deployment: string, rows: number, view: MonitorView): Promise<ExpireReply>;
  /** Forgets agents that are long gone. */
  forget(deployment: string, rows: number): Promise<unknown>;
  onVerdicts(deployment: string, verdicts: readonly LeaseVerdict[]): void;
  /** The brakes that hold agents of this deployment now. */
  onBrakes(deployment: string, brakes: readonly Brake[]): void;
  /** The store's clock jumped by so much (T2); time across it counts for nobody. */
  onClockJump(jumpMs: number): void;
  onScanned(): void;
  onFailure(error: unknown): void;
}

export interface LeaseScan {
  start(): void;
  stop(): void;
  /** One scan of all deployments; the timer calls it, tests may. */
  scanOnce(): Promise<void>;
}

type Scanned = Extract<ExpireReply, { kind: "scanned" }>;

export function createLeaseScan(deps: LeaseScanDeps): LeaseScan {
  const { clock } = deps;
  /** When the last look at each deployment that was answered had been sent. */
  const lookedAtMs = new Map<string, number>();
  let reading: StoreClockReading | undefined;
  let cancel: CancelTimer | undefined;
  let scanning: Promise<void> | undefined;
  let scans = 0;

  function noteClock(next: StoreClockReading): void {
    const jumpMs = reading === undefined ? 0 : clockJumpMs(reading, next, jumpAllowedMs);
    if (jumpMs !== 0) deps.onClockJump(jumpMs);
    reading = next;
  }

  async function expire(deployment: string): Promise<Scanned | undefined> {
    const seen = await deps.look();
    const sentAtMs = clock.nowMs();
    const lastAtMs = lookedAtMs.get(deployment);
    const view =
      lastAtMs === undefined
        ? { ...seen, first: true }
        : { ...seen, first: false, sinceMs: Math.round(sentAtMs - lastAtMs) };
    const reply = await deps.expire(deployment, scanRows, view);
    // Without its configuration in force nothing is judged (D2, D6); its owner projects it again.
    if (reply.kind === "refused") return undefined;
    lookedAtMs.set(deployment, sentAtMs);
    // Readings of calls that ran side by side are in no order; the one sent last is the newest.
    if (reading === undefined || sentAtMs >= reading.sentAtMs) {
      noteClock({ storeMs: reply.nowMs, sentAtMs, answeredAtMs: clock.nowMs() });
    }
    return reply;
  }

  async function scanDeployment(deployment: string): Promise<void> {
    for (;;) {
      const reply = await expire(deployment);
      if (reply === undefined) return;
      if (reply.verdicts.length > 0) deps.onVerdicts(deployment, reply.verdicts);
      deps.onBrakes(deployment, reply.brakes);
      if (!reply.more) return;
    }
  }

  async function scanAll(): Promise<void> {
    try {
      const forgets = scans++ % scansPerForget === 0;
      const deployments = await deps.listDeployments();
      for (let at = 0; at < deployments.length; at += scannedAtOnce) {
        await Promise.all(deployments.slice(at, at + scannedAtOnce).map(scanDeployment));
      }
      if (forgets) {
        for (const deployment of deployments) await deps.forget(deployment, scanRows);
      }
      deps.onScanned();
    } catch (error) {
      deps.onFailure(error);
    }
  }

  function scanOnce(): Promise<void> {
    scanning ??= scanAll().finally(() => {
      scanning = undefined;
    });
    return scanning;
  }

  return {
    start() {
      cancel ??= clock.every(scanEveryMs, () => void scanOnce());
    },
    stop() {
      cancel?.();
      cancel = undefined;
    },
    scanOnce,
  };
}

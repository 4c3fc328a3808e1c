// SPDX-License-Identifier: Apache-2.0
// Judges ages all the time, deployment by deployment (PROTOCOL L2).
import type { CancelTimer, Clock } from "@remex/runtime";
import type { ExpireReply, LeaseVerdict } from "@remex/store";

/** How often every deployment is scanned. */
export const scanEveryMs = 250;
/** Most agents judged in one call, so that one call never keeps Redis busy for long. */
export const scanRows = 500;

/** Agents that are long gone are forgotten with every so manyth scan: once in a minute. */
const scansPerForget = 240;

export interface LeaseScanDeps {
  readonly clock: Clock;
  listDeployments(): Promise<readonly string[]>;
  expire(deployment: string, rows: number): Promise<ExpireReply>;
  /** Forgets agents that are long gone. */
  forget(deployment: string, rows: number): Promise<unknown>;
  onVerdicts(deployment: string, verdicts: readonly LeaseVerdict[]): void;
  onScanned(): void;
  onFailure(error: unknown): void;
}

export interface LeaseScan {
  start(): void;
  stop(): void;
  /** One scan of all deployments; the timer calls it, tests may. */
  scanOnce(): Promise<void>;
}

/**
 * The freeze (L3) and the brake (L4) belong between finding who is due and ending sessions: inside
 * `expire_leases`, where ages are read, with what the monitor knows of links and gaps as arguments.
 */
export function createLeaseScan(deps: LeaseScanDeps): LeaseScan {
  let cancel: CancelTimer | undefined;
  let scanning: Promise<void> | undefined;
  let scans = 0;

  async function scanDeployment(deployment: string): Promise<void> {
    for (;;) {
      const reply = await deps.expire(deployment, scanRows);
      // Without its configuration in force nothing is judged (D2, D6); its owner projects it again.
      if (reply.kind === "refused") return;
      if (reply.verdicts.length > 0) deps.onVerdicts(deployment, reply.verdicts);
      if (!reply.more) return;
    }
  }

  async function scanAll(): Promise<void> {
    try {
      const forgets = scans++ % scansPerForget === 0;
      for (const deployment of await deps.listDeployments()) {
        await scanDeployment(deployment);
        if (forgets) await deps.forget(deployment, scanRows);
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
      cancel ??= deps.clock.every(scanEveryMs, () => void scanOnce());
    },
    stop() {
      cancel?.();
      cancel = undefined;
    },
    scanOnce,
  };
}

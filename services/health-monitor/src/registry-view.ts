// SPDX-License-Identifier: Apache-2.0
// What this monitor can hear: registries by their links, and which of them still keep their record (L3).
import type { BeatLinkEvent, MonitorEvent } from "@remex/proto/health/v1";
import type { Clock } from "@remex/runtime";
import type { MonitorView } from "@remex/store";
import type { FrameLink } from "@remex/transport";

export interface RegistryViewDeps {
  /** Id of this monitor's replica. */
  readonly replica: string;
  readonly clock: Clock;
  /** Ids of the registries whose record has not expired. */
  listRegistries(): Promise<readonly string[]>;
}

export interface RegistryView {
  /** A registry has said on this link who it is. */
  named(link: FrameLink<BeatLinkEvent, MonitorEvent>, registry: string): void;
  /** What is heard at this moment; rejects when the records cannot be read. */
  look(): Promise<Pick<MonitorView, "monitor" | "heard" | "living">>;
}

/** Records are read at most this often. */
const readEveryMs = 1_000;

export function createRegistryView(deps: RegistryViewDeps): RegistryView {
  const registries = new Map<FrameLink<BeatLinkEvent, MonitorEvent>, string>();
  let living: readonly string[] = [];
  let readAtMs = Number.NEGATIVE_INFINITY;

  function heard(): Record<string, number> {
    const quiet: Record<string, number> = {};
    for (const [link, registry] of registries) {
      const quietMs = Math.max(0, Math.ceil(link.quietMs()));
      quiet[registry] = Math.min(quiet[registry] ?? quietMs, quietMs);
    }
    return quiet;
  }

  return {
    named(link, registry) {
      if (!link.open) return;
      registries.set(link, registry);
      void link.closed.then(() => registries.delete(link));
    },
    async look() {
      const nowMs = deps.clock.nowMs();
      if (nowMs - readAtMs >= readEveryMs) {
        living = await deps.listRegistries();
        readAtMs = nowMs;
      }
      return { monitor: deps.replica, heard: heard(), living };
    },
  };
}

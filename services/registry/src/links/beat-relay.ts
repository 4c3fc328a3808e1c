// SPDX-License-Identifier: Apache-2.0
// Carries beats to the health-monitors, and brings acknowledgements and verdicts back (PROTOCOL L1).
import { create } from "@bufbuild/protobuf";
import { chooseByRendezvous, refToWire } from "@remex/domain";
import type { Beat } from "@remex/proto/agent/v1";
import {
  type BeatAcknowledged,
  type BeatLinkEvent,
  BeatLinkEventSchema,
  type BeatRefused,
  type MonitorEvent,
  type Verdict,
} from "@remex/proto/health/v1";
import type { Clock, Logger } from "@remex/runtime";
import { createManagedLinks, type FrameLink, type LinkTarget } from "@remex/transport";
import type { LiveSession } from "../session/live-session.ts";
import type { LiveSessions } from "../session/live-sessions.ts";

export type MonitorLink = FrameLink<MonitorEvent, BeatLinkEvent>;

export interface BeatRelayDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly live: LiveSessions;
  /** Dials a monitor; sends the link's hello. */
  dial(target: LinkTarget, signal: AbortSignal): Promise<MonitorLink>;
  /** A beat is on its way, or was lost for want of a link. */
  onRelayed(live: LiveSession): void;
  onAcknowledged(live: LiveSession, acknowledged: BeatAcknowledged): void;
  onRefused(live: LiveSession, refused: BeatRefused): void;
  onVerdict(live: LiveSession, verdict: Verdict): void;
  /** A link came up or went down. */
  onLinksChanged(): void;
}

export interface BeatRelay {
  setTargets(targets: readonly LinkTarget[]): void;
  /** Passes a beat on; without a link it is lost, and the agent gets no acknowledgement. */
  relay(live: LiveSession, beat: Beat): void;
  /** Number of monitors that are linked to. */
  readonly links: number;
  close(): void;
}

export function createBeatRelay(deps: BeatRelayDeps): BeatRelay {
  const links = createManagedLinks<MonitorEvent, BeatLinkEvent>({
    clock: deps.clock,
    log: deps.log,
    dial: deps.dial,
    onUp(_target, link) {
      link.onEvents((events) => {
        for (const event of events) receive(event);
      });
      deps.onLinksChanged();
    },
    onDown: () => deps.onLinksChanged(),
  });

  function receive({ event }: MonitorEvent): void {
    if (event.case === undefined || event.case === "hello") return;
    const { deployment, agent, session } = event.value;
    const live = deps.live.find(deployment, agent, session);
    // The agent is on another registry by now, or gone.
    if (live === undefined) return;
    switch (event.case) {
      case "acknowledged":
        deps.onAcknowledged(live, event.value);
        return;
      case "refused":
        deps.onRefused(live, event.value);
        return;
      case "verdict":
        deps.onVerdict(live, event.value);
        return;
    }
  }

  return {
    setTargets: (targets) => links.setTargets(targets),
    relay(live, beat) {
      const id = chooseByRendezvous(live.key, links.up.keys());
      const link = id === undefined ? undefined : links.up.get(id);
      link?.send([beatEvent(live, beat)]);
      deps.onRelayed(live);
    },
    get links() {
      return links.up.size;
    },
    close: () => links.close(),
  };
}

function beatEvent(live: LiveSession, beat: Beat): BeatLinkEvent {
  const { deployment, agent, session, generation } = live.facts;
  return create(BeatLinkEventSchema, {
    event: {
      case: "beat",
      value: {
        deployment,
        agent,
        session: refToWire(session),
        generation: BigInt(generation),
        beat,
      },
    },
  });
}

// SPDX-License-Identifier: Apache-2.0
// The part of a link that is the same over every wire: batching, heartbeats, silence, bounds, closing.

import type { CancelTimer, Clock } from "@remex/runtime";
import { EventQueue } from "./event-queue.ts";
import {
  defaultLinkBounds,
  defaultLinkTimings,
  type FrameLink,
  type LinkBounds,
  LinkClosed,
  type LinkTimings,
} from "./link.ts";

export interface LinkEndOptions {
  readonly peer: string;
  readonly clock: Clock;
  readonly timings?: LinkTimings;
  readonly bounds?: LinkBounds;
  /** True when a frame must travel at once although nothing is queued, to show that the link is up. */
  readonly greet?: boolean;
}

/** One end of a link, as the code that owns its wire sees it. */
export interface LinkEnd<In, Out> extends FrameLink<In, Out> {
  /** The frames to be sent, to be pulled by the wire; ends when the link has. */
  frames(): AsyncIterableIterator<Out[]>;
  /** The wire brought a frame. */
  received(events: In[]): void;
  /** The wire has ended, or something makes the link useless. Only the first reason counts. */
  fail(reason: LinkClosed): void;
}

/** The silence is looked at this many times within its limit, and heartbeats within their interval. */
const looksPerInterval = 4;

export function createLinkEnd<In, Out>(options: LinkEndOptions): LinkEnd<In, Out> {
  const { clock, peer } = options;
  const timings = options.timings ?? defaultLinkTimings;
  const queue = new EventQueue<Out>(options.bounds ?? defaultLinkBounds);
  let receive: ((events: In[]) => void) | undefined;
  let early: In[] = [];
  let ended: LinkClosed | undefined;
  let frameDue = options.greet ?? false;
  let flushScheduled = false;
  let puller: ((result: IteratorResult<Out[], undefined>) => void) | undefined;
  const { promise: closed, resolve: resolveClosed } = Promise.withResolvers<LinkClosed>();

  function finish(reason: LinkClosed): void {
    if (ended !== undefined) return;
    ended = reason;
    stopWatch();
    if (reason.code !== "closed_here") queue.clear();
    resolveClosed(reason);
    scheduleFlush();
  }

  const watch = createLinkWatch(clock, timings, {
    onHeartbeatDue() {
      frameDue = true;
      scheduleFlush();
    },
    onSilent() {
      finish(new LinkClosed("silent", `${peer} was silent for ${timings.silenceMs} ms`));
    },
  });
  const stopWatch = watch.stop;
  let heardAtMs = clock.nowMs();

  // One frame per turn of the event loop: whatever is sent in this turn is in it.
  function scheduleFlush(): void {
    if (flushScheduled || puller === undefined) return;
    flushScheduled = true;
    setImmediate(flush);
  }

  function flush(): void {
    flushScheduled = false;
    if (puller === undefined) return;
    const give = puller;
    if (queue.events > 0 || (frameDue && ended === undefined)) {
      puller = undefined;
      frameDue = false;
      watch.sent();
      give({ done: false, value: queue.takeFrame() });
    } else if (ended !== undefined) {
      puller = undefined;
      give({ done: true, value: undefined });
    }
  }

  function deliver(events: In[]): void {
    if (receive === undefined) {
      early.push(...events);
      return;
    }
    try {
      receive(events);
    } catch (cause) {
      finish(new LinkClosed("receiver_failed", `handling what ${peer} sent failed`, cause));
    }
  }

  return {
    peer,
    closed,
    get open() {
      return ended === undefined;
    },
    quietMs: () => clock.nowMs() - heardAtMs,
    send(events, roughBytes) {
      if (ended !== undefined || events.length === 0) return;
      if (!queue.push(events, roughBytes)) {
        const held = `${queue.events} events of about ${queue.bytes} bytes`;
        finish(new LinkClosed("overflow", `${peer} takes events too slowly: ${held} are waiting`));
        return;
      }
      scheduleFlush();
    },
    onEvents(handler) {
      receive = handler;
      if (early.length === 0) return;
      const events = early;
      early = [];
      deliver(events);
    },
    close(reason = "no longer needed") {
      finish(new LinkClosed("closed_here", reason));
    },
    received(events) {
      if (ended !== undefined) return;
      heardAtMs = clock.nowMs();
      watch.received();
      if (events.length > 0) deliver(events);
    },
    fail: finish,
    frames() {
      return {
        next() {
          return new Promise((resolve) => {
            puller = resolve;
            if (queue.events > 0 || frameDue || ended !== undefined) scheduleFlush();
          });
        },
        return() {
          finish(new LinkClosed("closed_by_peer", `${peer} closed the link`));
          return Promise.resolve({ done: true, value: undefined });
        },
        [Symbol.asyncIterator]() {
          return this;
        },
      };
    },
  };
}

interface LinkWatch {
  sent(): void;
  received(): void;
  stop: CancelTimer;
}

/** Watches both directions of a link with one timer. */
function createLinkWatch(
  clock: Clock,
  timings: LinkTimings,
  on: { onHeartbeatDue(): void; onSilent(): void },
): LinkWatch {
  const lookEveryMs = Math.max(
    1,
    Math.min(timings.heartbeatMs, timings.silenceMs) / looksPerInterval,
  );
  let sentAt = clock.nowMs();
  let receivedAt = sentAt;
  let lookedAt = sentAt;
  const stop = clock.every(lookEveryMs, () => {
    const now = clock.nowMs();
    // When this process itself stood still, what the peer sent meanwhile is still to be read: the
    // silence is counted anew rather than held against the peer.
    if (now - lookedAt > timings.silenceMs / 2) receivedAt = now;
    lookedAt = now;
    if (now - receivedAt >= timings.silenceMs) on.onSilent();
    else if (now - sentAt + lookEveryMs > timings.heartbeatMs) on.onHeartbeatDue();
  });
  return {
    sent() {
      sentAt = clock.nowMs();
    },
    received() {
      receivedAt = clock.nowMs();
    },
    stop,
  };
}

// SPDX-License-Identifier: Apache-2.0
// Writes events to a grpc-js stream: one frame per turn of the event loop, bounded, with back-pressure.

import { EventQueue, type QueueBounds } from "./event-queue.ts";

/** The writing side of a grpc-js stream, as far as it is needed here. */
export interface WritableFrames<Frame> {
  write(frame: Frame): boolean;
  once(event: "drain", listener: () => void): unknown;
}

export interface FrameWriterOptions<Event, Frame> {
  readonly stream: WritableFrames<Frame>;
  /** Puts the events of one turn into a frame. */
  frameOf(events: Event[]): Frame;
  /** More waits than the peer takes: end the stream. Called once; nothing is written afterwards. */
  onOverflow(waiting: { readonly events: number; readonly bytes: number }): void;
  readonly bounds?: QueueBounds;
}

export interface FrameWriter<Event> {
  /** Queues events for the frame of this turn; see FrameLink.send about `roughBytes`. */
  send(events: readonly Event[], roughBytes?: number): void;
  /** Writes what is queued at once, whatever the turn: before the stream is ended. */
  flush(): void;
  /** Drops what is queued and writes nothing more. */
  stop(): void;
  /** Events that wait. */
  readonly queued: number;
}

/** For the streams of agents: a slow reader is cut at 8 MiB (SEC-L5 bounds it further by time). */
export const defaultFrameBounds: QueueBounds = {
  maxQueuedEvents: 100_000,
  maxQueuedBytes: 8 * 1024 * 1024,
  maxFrameEvents: 10_000,
  maxFrameBytes: 512 * 1024,
};

export function createFrameWriter<Event, Frame>(
  options: FrameWriterOptions<Event, Frame>,
): FrameWriter<Event> {
  const { stream } = options;
  const queue = new EventQueue<Event>(options.bounds ?? defaultFrameBounds);
  let scheduled = false;
  let blocked = false;
  let stopped = false;

  function schedule(): void {
    if (scheduled || blocked || stopped) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      writeFrame();
    });
  }

  function writeFrame(): void {
    if (stopped || blocked || queue.events === 0) return;
    if (stream.write(options.frameOf(queue.takeFrame()))) {
      if (queue.events > 0) schedule();
      return;
    }
    blocked = true;
    stream.once("drain", () => {
      blocked = false;
      if (queue.events > 0) schedule();
    });
  }

  return {
    get queued() {
      return queue.events;
    },
    send(events, roughBytes) {
      if (stopped || events.length === 0) return;
      if (!queue.push(events, roughBytes)) {
        const waiting = { events: queue.events, bytes: queue.bytes };
        stopped = true;
        queue.clear();
        options.onOverflow(waiting);
        return;
      }
      schedule();
    },
    flush() {
      while (!stopped && queue.events > 0) stream.write(options.frameOf(queue.takeFrame()));
    },
    stop() {
      stopped = true;
      queue.clear();
    },
  };
}

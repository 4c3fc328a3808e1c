// SPDX-License-Identifier: Apache-2.0
// A link: two processes (or two roles of one) that exchange batches of events in order.

/** Why a link ended. `code` is stable; the message is for people. */
export type LinkCloseCode =
  /** `close` was called on this end. */
  | "closed_here"
  /** The other end closed it in good order. */
  | "closed_by_peer"
  /** Nothing came for longer than the silence limit. */
  | "silent"
  /** More was queued than the other end took. */
  | "overflow"
  /** The other end refused the call; the cause says why. */
  | "refused"
  /** The connection broke; the cause says how. */
  | "broken"
  /** The receiver of the events threw; the cause is what it threw. */
  | "receiver_failed";

/** The reason of a link's end, as an error with a code. */
export class LinkClosed extends Error {
  override readonly name = "LinkClosed";
  readonly code: LinkCloseCode;

  constructor(code: LinkCloseCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/**
 * One end of a link. Events that are sent within one turn of the event loop travel in one frame, and
 * arrive in one call of the receiver. Order is kept; nothing is sent again: after a close, what was
 * queued may be lost, and the protocol above puts it right.
 */
export interface FrameLink<In, Out> {
  /** Name of the other end for logs: a replica's id or an address. */
  readonly peer: string;
  /** False from the first moment of its end. */
  readonly open: boolean;
  /** Time since the last frame of the other end, in ms; 0 within one process. */
  quietMs(): number;
  /**
   * Queues events. On a closed link they are dropped. Events must not be changed afterwards: between
   * roles of one process they are passed on as they are.
   *
   * `roughBytes` is about how large they are together; give it where they carry payloads, so that
   * frames are split and the queue is bounded by it. Absence means 256 bytes each.
   */
  send(events: readonly Out[], roughBytes?: number): void;
  /** Sets the one receiver; events that came before are handed to it first. */
  onEvents(receive: (events: In[]) => void): void;
  /** Settles when the link has ended. Never rejects. */
  readonly closed: Promise<LinkClosed>;
  /** Ends the link after what is queued was sent. `reason` is for logs. */
  close(reason?: string): void;
}

/** How a link keeps itself alive, in ms. */
export interface LinkTimings {
  /** At least every so often a frame is sent, an empty one if need be. */
  readonly heartbeatMs: number;
  /** After so long without a frame the other end counts as gone. */
  readonly silenceMs: number;
}

/** What the contracts of the links say. */
export const defaultLinkTimings: LinkTimings = { heartbeatMs: 2_000, silenceMs: 6_000 };

/**
 * Of links whose silence is judged closely: a health-monitor counts time towards agents' ages only up to
 * the last frame of their registry (PROTOCOL L3).
 */
export const beatLinkTimings: LinkTimings = { heartbeatMs: 500, silenceMs: 6_000 };

/** How much may wait in one end, and travel in one frame. */
export interface LinkBounds {
  readonly maxQueuedEvents: number;
  readonly maxQueuedBytes: number;
  readonly maxFrameEvents: number;
  readonly maxFrameBytes: number;
}

export const defaultLinkBounds: LinkBounds = {
  maxQueuedEvents: 500_000,
  maxQueuedBytes: 64 * 1024 * 1024,
  maxFrameEvents: 10_000,
  maxFrameBytes: 1024 * 1024,
};

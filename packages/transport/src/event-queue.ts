// SPDX-License-Identifier: Apache-2.0
// A bounded queue of events that is emptied frame by frame.

/** What an event counts when its sender does not say. */
const defaultEventBytes = 256;

export interface QueueBounds {
  readonly maxQueuedEvents: number;
  readonly maxQueuedBytes: number;
  readonly maxFrameEvents: number;
  readonly maxFrameBytes: number;
}

interface Batch<Event> {
  readonly events: readonly Event[];
  readonly bytes: number;
}

export class EventQueue<Event> {
  readonly #bounds: QueueBounds;
  #batches: Batch<Event>[] = [];
  #events = 0;
  #bytes = 0;

  constructor(bounds: QueueBounds) {
    this.#bounds = bounds;
  }

  get events(): number {
    return this.#events;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Adds events. False when the bounds are passed: the queue is of no use from then on. */
  push(events: readonly Event[], roughBytes?: number): boolean {
    const bytes = Math.max(roughBytes ?? 0, events.length * defaultEventBytes);
    this.#batches.push({ events, bytes });
    this.#events += events.length;
    this.#bytes += bytes;
    return (
      this.#events <= this.#bounds.maxQueuedEvents && this.#bytes <= this.#bounds.maxQueuedBytes
    );
  }

  /** Takes the oldest events that fit in one frame; at least one event when there is any. */
  takeFrame(): Event[] {
    const frame: Event[] = [];
    let frameBytes = 0;
    let taken = 0;
    for (const batch of this.#batches) {
      const room = this.#room(batch, frame.length, frameBytes);
      if (room < batch.events.length) {
        const part = room === 0 && frame.length === 0 ? 1 : room;
        this.#splitAt(taken, part);
        if (part > 0) this.#take(taken++, frame);
        break;
      }
      this.#take(taken++, frame);
      frameBytes += batch.bytes;
    }
    this.#batches = taken === this.#batches.length ? [] : this.#batches.slice(taken);
    return frame;
  }

  clear(): void {
    this.#batches = [];
    this.#events = 0;
    this.#bytes = 0;
  }

  /** How many events of the batch the frame still has room for. */
  #room(batch: Batch<Event>, frameEvents: number, frameBytes: number): number {
    const byCount = this.#bounds.maxFrameEvents - frameEvents;
    const free = this.#bounds.maxFrameBytes - frameBytes;
    const byBytes =
      batch.bytes <= free
        ? batch.events.length
        : Math.floor((batch.events.length * Math.max(0, free)) / batch.bytes);
    return Math.min(batch.events.length, byCount, byBytes);
  }

  /** Cuts a batch in two, the first of them with `count` events; their bytes are shared out evenly. */
  #splitAt(index: number, count: number): void {
    const batch = this.#batches[index];
    if (batch === undefined || count <= 0 || count >= batch.events.length) return;
    const bytes = Math.floor((batch.bytes * count) / batch.events.length);
    this.#batches.splice(
      index,
      1,
      { events: batch.events.slice(0, count), bytes },
      { events: batch.events.slice(count), bytes: batch.bytes - bytes },
    );
  }

  #take(index: number, frame: Event[]): void {
    const batch = this.#batches[index];
    if (batch === undefined) return;
    for (const event of batch.events) frame.push(event);
    this.#events -= batch.events.length;
    this.#bytes -= batch.bytes;
  }
}

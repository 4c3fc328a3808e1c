// SPDX-License-Identifier: Apache-2.0
// Where the simulated wire and machines say what passes through them, for the observer of their world.

import type { World } from "../engine/world.ts";

/** One event on its way to an agent. */
export interface SentEvent {
  readonly registry: string;
  readonly message: unknown;
}

export interface Taps {
  /** A registry wrote a frame to an agent's stream; `stream` is one object per stream. */
  frameToAgent(stream: object, registry: string, message: unknown): void;
  streamGone(stream: object): void;
  /** A process wrote to a socket of its machine. */
  localBytes(process: string, host: string, bytes: Buffer, rate: number): void;
}

const all = new WeakMap<World, Taps>();

export function setTaps(world: World, taps: Taps): void {
  all.set(world, taps);
}

export function tapsOf(world: World): Taps | undefined {
  return all.get(world);
}

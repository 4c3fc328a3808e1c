// SPDX-License-Identifier: Apache-2.0
// Finds out when an agent's inventory is no longer what the scheduler was told (PROTOCOL S6).
import type { LiveSession } from "./live-session.ts";

interface Seen {
  /** Digest of the inventory that the scheduler has. */
  told: string;
  /** Digest of the latest beat. */
  beaten: string;
  /** Digest that was asked for and is still to come. */
  asked: string;
}

/**
 * While work comes and goes the digest changes from beat to beat, and accepts, progress and reports
 * keep the scheduler informed. A digest that stands for two beats and was never told is asked for
 * once: that costs an inventory per pause, and finds what a lost frame has hidden (S7).
 */
export class InventoryWatch {
  readonly #seen = new WeakMap<LiveSession, Seen>();

  /** Notes the digest of a beat; true when the inventory is to be asked for. */
  beat(live: LiveSession, digest: Uint8Array): boolean {
    if (digest.length === 0) return false;
    const seen = this.#of(live);
    const text = hexOf(digest);
    const stands = seen.beaten === text;
    seen.beaten = text;
    if (!stands || text === seen.told || text === seen.asked) return false;
    seen.asked = text;
    return true;
  }

  /** Notes an inventory that goes to the scheduler. */
  inventory(live: LiveSession, digest: Uint8Array): void {
    const seen = this.#of(live);
    seen.told = hexOf(digest);
    seen.asked = "";
  }

  #of(live: LiveSession): Seen {
    const known = this.#seen.get(live);
    if (known !== undefined) return known;
    const seen = { told: "", beaten: "", asked: "" };
    this.#seen.set(live, seen);
    return seen;
  }
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

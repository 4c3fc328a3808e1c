// SPDX-License-Identifier: Apache-2.0
// Keeps one link to each of a changing set of peers: dials, redials with jitter, tells up and down.

import {
  type CancelTimer,
  type Clock,
  createBackoff,
  type Logger,
  type Random,
} from "@remex/runtime";
import type { FrameLink, LinkClosed } from "./link.ts";

/** A peer to be linked to. */
export interface LinkTarget {
  /** Id of the replica: a restarted one has another id and gets a link of its own. */
  readonly id: string;
  /** Base URL of its internal port, "http://host:port". */
  readonly address: string;
}

export interface ManagedLinksOptions<In, Out> {
  /** Makes one link; rejects when it cannot. See `dialLink` and `createLocalLinks`. */
  dial(target: LinkTarget, signal: AbortSignal): Promise<FrameLink<In, Out>>;
  /** A link is up. Set `onEvents` here. */
  onUp(target: LinkTarget, link: FrameLink<In, Out>): void;
  /** A link that was up has ended. It is dialled again while its target is wanted. */
  onDown(target: LinkTarget, reason: LinkClosed): void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random?: Random;
  /** Bounds of the wait between dials. Absence means 200 ms, doubling to 5 s. */
  readonly backoff?: { readonly baseMs: number; readonly maxMs: number };
  /** A link that held so long makes the next dial begin without a wait. Absence means 5 s. */
  readonly heldMs?: number;
}

export interface ManagedLinks<In, Out> {
  /** Says which peers are wanted from now on; links to others are closed. */
  setTargets(targets: readonly LinkTarget[]): void;
  /** The links that are up, by id. */
  readonly up: ReadonlyMap<string, FrameLink<In, Out>>;
  /** Targets that are wanted and not linked to, for readiness. */
  missing(): LinkTarget[];
  /** Closes every link and dials no more. */
  close(): void;
}

/** What is going on with one target. */
type TargetState<In, Out> =
  | { readonly kind: "waiting"; readonly cancel: CancelTimer }
  | { readonly kind: "dialling"; readonly abort: AbortController }
  | { readonly kind: "up"; readonly link: FrameLink<In, Out>; readonly sinceMs: number }
  | { readonly kind: "dropped" };

interface Entry<In, Out> {
  readonly target: LinkTarget;
  readonly backoff: ReturnType<typeof createBackoff>;
  state: TargetState<In, Out>;
}

const defaultBackoff = { baseMs: 200, maxMs: 5_000 };
const defaultHeldMs = 5_000;

export function createManagedLinks<In, Out>(
  options: ManagedLinksOptions<In, Out>,
): ManagedLinks<In, Out> {
  const { clock, log } = options;
  const entries = new Map<string, Entry<In, Out>>();
  const up = new Map<string, FrameLink<In, Out>>();

  function add(target: LinkTarget): void {
    const backoff = createBackoff({
      ...(options.backoff ?? defaultBackoff),
      ...(options.random === undefined ? {} : { random: options.random }),
    });
    const entry: Entry<In, Out> = { target, backoff, state: { kind: "dropped" } };
    entries.set(target.id, entry);
    dial(entry);
  }

  function drop(entry: Entry<In, Out>, reason: string): void {
    const { state } = entry;
    entry.state = { kind: "dropped" };
    entries.delete(entry.target.id);
    if (state.kind === "waiting") state.cancel();
    if (state.kind === "dialling") state.abort.abort();
    if (state.kind === "up") state.link.close(reason);
  }

  function dial(entry: Entry<In, Out>): void {
    const abort = new AbortController();
    const state: TargetState<In, Out> = { kind: "dialling", abort };
    entry.state = state;
    options.dial(entry.target, abort.signal).then(
      (link) => {
        if (entry.state === state) linked(entry, link);
        else link.close("no longer wanted");
      },
      (err: unknown) => {
        if (entry.state !== state) return;
        const waitMs = entry.backoff.nextMs();
        const peer = entry.target.id;
        log.warn({ peer, address: entry.target.address, waitMs, err }, "dialling a link failed");
        wait(entry, waitMs);
      },
    );
  }

  function wait(entry: Entry<In, Out>, waitMs: number): void {
    entry.state = { kind: "waiting", cancel: clock.after(waitMs, () => dial(entry)) };
  }

  function linked(entry: Entry<In, Out>, link: FrameLink<In, Out>): void {
    const { target } = entry;
    const state: TargetState<In, Out> = { kind: "up", link, sinceMs: clock.nowMs() };
    entry.state = state;
    up.set(target.id, link);
    log.info({ peer: target.id, address: target.address }, "link up");
    options.onUp(target, link);
    void link.closed.then((reason) => {
      if (up.get(target.id) === link) up.delete(target.id);
      log.info({ peer: target.id, reason: reason.code, err: reason }, "link down");
      options.onDown(target, reason);
      if (entry.state !== state) return;
      if (clock.nowMs() - state.sinceMs >= (options.heldMs ?? defaultHeldMs)) entry.backoff.reset();
      wait(entry, entry.backoff.nextMs());
    });
  }

  return {
    up,
    setTargets(targets) {
      const wanted = new Map(targets.map((target) => [target.id, target]));
      for (const entry of [...entries.values()]) {
        const same = wanted.get(entry.target.id);
        if (same?.address !== entry.target.address) drop(entry, "no longer wanted");
      }
      for (const target of wanted.values()) if (!entries.has(target.id)) add(target);
    },
    missing() {
      return [...entries.values()]
        .filter((entry) => entry.state.kind !== "up")
        .map((entry) => entry.target);
    },
    close() {
      for (const entry of [...entries.values()]) drop(entry, "shutting down");
    },
  };
}

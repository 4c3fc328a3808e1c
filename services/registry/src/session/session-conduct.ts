// SPDX-License-Identifier: Apache-2.0
// What happens on live sessions: events of agents, answers of monitors and schedulers, changes in the store.

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type AgentCapabilities,
  type AgentHealthWord,
  agentHealths,
  compareRefs,
  decideCapabilities,
  decideInventorySize,
  failureOf,
  RemexError,
  remexError,
  runtimesOfKind,
} from "@remex/domain";
import type {
  AgentEvent,
  Beat,
  Goodbye,
  Inventory,
  ServerEvent,
  TriggerEvent,
} from "@remex/proto/agent/v1";
import type { BeatAcknowledged, BeatRefused, Verdict } from "@remex/proto/health/v1";
import type { Logger } from "@remex/runtime";
import type { ProjectedDeployment, SessionRecord, SessionStore } from "@remex/store";
import { errorDetailOf } from "@remex/transport";
import type { BeatRelay } from "../links/beat-relay.ts";
import type { WorkRelay } from "../links/work-relay.ts";
import { InventoryWatch } from "./inventory-watch.ts";
import type { LiveSession } from "./live-session.ts";
import { endedError } from "./session-opener.ts";
import {
  availabilityToWire,
  capabilitiesToWire,
  serverEvent,
  settingsToWire,
  statedCapabilities,
} from "./session-wire.ts";

export interface SessionConductDeps {
  readonly log: Logger;
  readonly sessions: Pick<SessionStore, "leave">;
  /** Newest settings in force, as this registry last read them. */
  config(deployment: string): ProjectedDeployment | undefined;
  beats(): BeatRelay;
  work(): WorkRelay;
  reauthenticate(live: LiveSession, token: string): Promise<void>;
  /** A beat was acknowledged at this moment, for "the newest settings are on their way". */
  onSettingsBehind(deployment: string): void;
}

/** Deals with everything that is said on, to and about live sessions. */
export class SessionConduct {
  readonly #deps: SessionConductDeps;
  readonly #inventories = new InventoryWatch();

  constructor(deps: SessionConductDeps) {
    this.#deps = deps;
  }

  /** What an agent said in one frame. */
  events(live: LiveSession, events: readonly AgentEvent[]): void {
    const forScheduler = events.filter((event) => this.#take(live, event));
    if (forScheduler.length > 0) this.#deps.work().said(live, forScheduler);
  }

  /** The hello's inventory counts as seen by the scheduler. */
  helloInventory(live: LiveSession, said: Inventory | undefined): void {
    if (said !== undefined) this.#inventories.inventory(live, said.digest);
  }

  /** A lease was renewed: the agent's acknowledgement, wished cancels again (C4), its health. */
  acknowledged(live: LiveSession, { ack, healthy }: BeatAcknowledged): void {
    if (ack === undefined) return;
    const events: ServerEvent[] = [serverEvent({ case: "beatAck", value: ack })];
    for (const cancel of live.cancels.values()) {
      events.push(serverEvent({ case: "cancel", value: cancel }));
    }
    live.channel.send(events);
    if (ack.intervalVersion > BigInt(live.intervalVersion)) {
      this.#deps.onSettingsBehind(live.facts.deployment);
    }
    // The reason of a bad health comes with its verdict.
    if (healthy) this.#setHealth(live, "HEALTHY", "");
    else if (live.health === "HEALTHY" || live.health === "REGISTERED") {
      this.#setHealth(live, "DEGRADED", "");
    }
  }

  /** A beat renewed nothing. */
  refused(live: LiveSession, { ending, reason }: BeatRefused): void {
    if (ending) this.beginEnding(live, reason);
    else this.end(live, reason);
  }

  /** A monitor judged the agent. */
  verdict(live: LiveSession, { health, reason }: Verdict): void {
    const word = agentHealths[health];
    if (word === undefined || word === "UNSPECIFIED") return;
    if (word === "FAILED" || word === "LEFT") this.end(live, reason);
    else this.#setHealth(live, word, reason);
  }

  /** Passes on what a scheduler says, and remembers wished cancels. */
  tell(live: LiveSession, events: readonly ServerEvent[], roughBytes: number): void {
    for (const { event } of events) {
      if (event.case === "cancel") live.cancels.set(event.value.task, event.value);
      else if (event.case === "reportAnswer") live.cancels.delete(event.value.task);
    }
    live.channel.send(events, roughBytes);
  }

  /** The store's record of the agent, as read after somebody changed it. */
  changed(live: LiveSession, record: SessionRecord, nowMs: number): void {
    const order = compareRefs(record.session, live.facts.session);
    // Read before this session was opened: it says nothing about it.
    if (order < 0) return;
    if (order > 0) {
      this.end(live, "superseded");
    } else if (record.state === "ENDED") {
      this.end(live, record.reason);
    } else if (record.generation > live.facts.generation) {
      const session = live.sessionText;
      live.channel.end(remexError("session_superseded", { session }));
    } else {
      if (record.state === "ENDING") this.beginEnding(live, record.reason);
      // Other changes of health come with acknowledgements and verdicts; this one holds for a while, so
      // it must not depend on a verdict that may be lost.
      if (record.health === "SUSPECT" && live.health !== "SUSPECT") {
        this.#setHealth(live, "SUSPECT", record.healthReason);
      }
      this.#setControl(live, record, nowMs);
      this.#setOnCut(live, record);
    }
  }

  /** New settings are in force. */
  settings(live: LiveSession, config: ProjectedDeployment): void {
    const onCut = live.onCut ?? config.onCut;
    // Of the same version only what cut-off work does may have changed.
    if (config.intervalVersion < live.intervalVersion) return;
    if (config.intervalVersion === live.intervalVersion && onCut === live.toldOnCut) return;
    live.intervalVersion = config.intervalVersion;
    live.toldOnCut = onCut;
    live.channel.send([
      serverEvent({ case: "settings", value: settingsToWire(config, live.onCut) }),
    ]);
  }

  /** Asks the agent to resume over a new connection. */
  goAway(live: LiveSession, reason: string): void {
    live.channel.send([serverEvent({ case: "goAway", value: { reason } })]);
  }

  /** Tells the agent that its session is ENDING; offers stop at once (L8). */
  beginEnding(live: LiveSession, reason: string): void {
    if (live.ending) return;
    live.ending = true;
    live.endingReason = reason;
    live.channel.send([serverEvent({ case: "sessionEnding", value: { reason } })]);
    this.#admit(live);
    this.#deps.log.info({ ...live.logFields, reason }, "session is ending");
  }

  /** Tells the agent that its session is over, and closes the stream. */
  end(live: LiveSession, reason: string): void {
    const { agent, deployment } = live.facts;
    const error = endedError(live.sessionText, agent, reason, deployment).failure;
    const mustChange = error.code !== "session_ended";
    const value = { reason, ...(mustChange ? { error: errorDetailOf(error) } : {}) };
    live.ending = true;
    live.channel.send([serverEvent({ case: "sessionEnded", value })]);
    this.#deps.log.info({ ...live.logFields, reason }, "session ended");
    live.channel.end();
  }

  /** Deals with one event; true when it is for the scheduler. */
  #take(live: LiveSession, { event }: AgentEvent): boolean {
    switch (event.case) {
      case "accept":
      case "decline":
      case "progress":
        return true;
      case "report":
        live.cancels.delete(event.value.task);
        return true;
      case "inventory":
        return this.#inventory(live, event.value);
      case "beat":
        this.#beat(live, event.value);
        return false;
      case "goodbye": {
        const failed = this.#failed(live, "taking a goodbye");
        live.leaving = this.#goodbye(live, event.value).catch(failed);
        return false;
      }
      case "draining":
        live.draining = true;
        this.#admit(live);
        return false;
      case "reauthenticate":
        this.#deps
          .reauthenticate(live, event.value.token)
          .catch(this.#failed(live, "reauthentication"));
        return false;
      case "triggerEvent":
        return takeTriggerEvent(live, event.value);
      case "hello":
      case undefined:
        return false;
    }
  }

  #beat(live: LiveSession, said: Beat): void {
    let relayed = said;
    if (said.capabilities !== undefined) {
      const { capabilities, ...rest } = said;
      // What the store is told is what the token allows, not what the agent claims (SEC-E3).
      relayed = this.#changeCapabilities(live, statedCapabilities(capabilities))
        ? { ...rest, capabilities: capabilitiesToWire(live.capabilities) }
        : rest;
    }
    this.#deps.beats().relay(live, relayed);
    if (this.#inventories.beat(live, said.inventoryDigest)) {
      const value = { reason: "digest_differs" };
      live.channel.send([serverEvent({ case: "inventoryRequest", value })]);
    }
  }

  #changeCapabilities(live: LiveSession, stated: AgentCapabilities): boolean {
    const { deployment } = live.facts;
    const queues = this.#deps.config(deployment)?.queues ?? live.capabilities.queues;
    const decided = decideCapabilities(stated, { deployment, queues, scope: live.scope });
    if (!decided.ok) {
      const reason = decided.failure.message;
      this.#deps.log.warn({ ...live.logFields, reason }, "changed capabilities were not taken");
      return false;
    }
    const runtimes = runtimesOfKind(live.facts.kind, decided.value.runtimes);
    live.capabilities = { ...decided.value, runtimes };
    this.#deps.work().admission(live, true);
    return true;
  }

  #inventory(live: LiveSession, said: Inventory): boolean {
    const failure = decideInventorySize(said.entries.length, live.capabilities.slots);
    if (failure === undefined) {
      this.#inventories.inventory(live, said.digest);
      return true;
    }
    live.channel.end(new RemexError(failure));
    return false;
  }

  async #goodbye(live: LiveSession, { empty, reason }: Goodbye): Promise<void> {
    const { deployment, agent, session } = live.facts;
    this.#deps.log.info({ ...live.logFields, reason, empty }, "agent says goodbye");
    const reply = await this.#deps.sessions.leave(deployment, agent, session, empty);
    if (reply.kind === "ending") this.beginEnding(live, reply.reason);
    else if (reply.kind !== "refused") this.end(live, live.endingReason || "goodbye");
  }

  #admit(live: LiveSession): void {
    if (live.decideOffers()) this.#deps.work().admission(live, false);
  }

  #setHealth(live: LiveSession, health: AgentHealthWord, reason: string): void {
    live.health = health;
    live.healthReason = reason;
    this.#admit(live);
  }

  /** Tells the agent what operators decided about it (O1, O2), and lets the scheduler know. */
  #setControl(live: LiveSession, record: SessionRecord, nowMs: number): void {
    const { availability, drainAtMs, controlNote } = record;
    if (live.availability === availability && live.drainAtMs === drainAtMs) return;
    live.availability = availability;
    live.drainAtMs = drainAtMs;
    const value = {
      availability: availabilityToWire(availability),
      note: controlNote,
      ...(drainAtMs > 0 ? { drainDeadline: durationFromMs(Math.max(0, drainAtMs - nowMs)) } : {}),
    };
    live.channel.send([serverEvent({ case: "control", value })]);
    this.#deps.log.info({ ...live.logFields, availability }, "operators decided about the agent");
    this.#admit(live);
  }

  #setOnCut(live: LiveSession, { onCut }: SessionRecord): void {
    if (live.onCut === onCut) return;
    live.onCut = onCut;
    const config = this.#deps.config(live.facts.deployment);
    if (config !== undefined) this.settings(live, config);
  }

  #failed(live: LiveSession, what: string): (err: unknown) => void {
    return (err) => this.#deps.log.warn({ ...live.logFields, err }, `${what} failed`);
  }
}

const mostEventBytes = 262_144;

/** True when it is for the scheduler, which judges all but its size (C5, I11). */
function takeTriggerEvent(live: LiveSession, said: TriggerEvent): boolean {
  const bytes = said.payload.length;
  if (bytes <= mostEventBytes) return true;
  const failure = failureOf("trigger_event_too_large", { bytes, limit: mostEventBytes });
  const value = {
    task: said.task,
    ...(said.attempt === undefined ? {} : { attempt: said.attempt }),
    refusal: errorDetailOf(failure),
  };
  live.channel.send([serverEvent({ case: "triggerEventAnswer", value })]);
  return false;
}

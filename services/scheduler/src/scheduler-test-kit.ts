// SPDX-License-Identifier: Apache-2.0
// A scheduler over a real Redis, with a scripted registry and its agents at the far end of its links.

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { refToWire, requireRef } from "@remex/domain";
import {
  type AgentEvent,
  AgentEventSchema,
  type AttemptState,
  type Offer,
  OfferSchema,
  type ServerEvent,
} from "@remex/proto/agent/v1";
import { AgentKind, OutcomeKind, OutcomeSchema, type TaskSpecSchema } from "@remex/proto/common/v1";
import {
  type RegistryEvent,
  RegistryEventSchema,
  type SchedulerEvent,
  TaskService,
} from "@remex/proto/scheduler/v1";
import { createSilentLogger, createSystemClock } from "@remex/runtime";
import {
  createSessionStore,
  createTaskStore,
  subscribeSignals,
  type TaskStore,
} from "@remex/store";
import { sessionFixtureFacts } from "@remex/store/testing";
import { createInProcessLinkPair, createLocalTransport, type FrameLink } from "@remex/transport";
import { createScheduler, type Scheduler, type SchedulerDeps } from "./scheduler.ts";
import { deployment, ready, type StoreWorld } from "./store-test-kit.ts";

type OutcomeInit = MessageInitShape<typeof OutcomeSchema>;
type SpecInit = MessageInitShape<typeof TaskSpecSchema>;
type EventInit = MessageInitShape<typeof AgentEventSchema>;

/** Waits for a condition; polls, so that it holds whatever the events' order is. */
export async function until<Value>(
  what: string,
  look: () => Value | undefined | Promise<Value | undefined>,
  timeoutMs = 5_000,
): Promise<Value> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await look();
    if (value !== undefined) return value;
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A scripted agent behind the scripted registry. */
export class FarAgent {
  readonly name: string;
  session: string;
  readonly heard: ServerEvent[] = [];
  slots = 10;
  #sequence = 1;
  readonly #link: () => FrameLink<SchedulerEvent, RegistryEvent>;

  constructor(name: string, session: string, link: () => FrameLink<SchedulerEvent, RegistryEvent>) {
    this.name = name;
    this.session = session;
    this.#link = link;
  }

  say(...events: EventInit[]): void {
    const value = {
      deployment,
      agent: this.name,
      session: refToWire(requireRef(this.session)),
      events: events.map((event) => create(AgentEventSchema, event)) as AgentEvent[],
    };
    this.#link().send([create(RegistryEventSchema, { event: { case: "said", value } })]);
  }

  accept({ task, attempt }: Ref): void {
    const sequence = BigInt(++this.#sequence);
    this.say({ event: { case: "accept", value: { task, attempt, sequence } } });
  }

  decline({ task, attempt }: Ref, reason: number): void {
    this.say({ event: { case: "decline", value: { task, attempt, reason } } });
  }

  started({ task, attempt }: Ref): void {
    const progress = { case: "started", value: {} } as const;
    this.say({ event: { case: "progress", value: { task, attempt, progress } } });
  }

  report(
    { task, attempt }: Ref,
    outcome: OutcomeInit = { kind: OutcomeKind.SUCCEEDED },
    droppedCalls = 0,
  ): void {
    const digest = toBinary(OutcomeSchema, create(OutcomeSchema, outcome));
    this.say({
      event: { case: "report", value: { task, attempt, outcome, digest, droppedCalls } },
    });
  }

  emit({ task, attempt }: Ref, number: number, text = `event ${number}`): void {
    const value = { task, attempt, number: BigInt(number), payload: Buffer.from(text) };
    this.say({ event: { case: "triggerEvent", value } });
  }

  inventory(entries: readonly (Ref & { readonly state: AttemptState })[]): void {
    const sequence = BigInt(++this.#sequence);
    this.say({ event: { case: "inventory", value: { sequence, entries: [...entries] } } });
  }

  attach(
    fields: {
      readonly slots?: number;
      readonly queues?: string[];
      readonly runtimes?: string[];
      readonly kind?: AgentKind;
      readonly labels?: Record<string, string>;
      readonly entries?: readonly (Ref & { readonly state: AttemptState })[];
      readonly offersAllowed?: boolean;
    } = {},
  ): void {
    this.slots = fields.slots ?? this.slots;
    const value = {
      deployment,
      agent: this.name,
      session: refToWire(requireRef(this.session)),
      kind: fields.kind ?? AgentKind.WORKER,
      capabilities: {
        queues: fields.queues ?? ["default"],
        labels: fields.labels ?? {},
        slots: this.slots,
        runtimes: fields.runtimes ?? ["command", "noop"],
      },
      offersAllowed: fields.offersAllowed ?? true,
      inventory: { sequence: BigInt(this.#sequence), entries: [...(fields.entries ?? [])] },
    };
    this.#link().send([create(RegistryEventSchema, { event: { case: "attached", value } })]);
  }

  /** Comes back in a new session, with what it holds. */
  reattach(session: string, entries: readonly (Ref & { readonly state: AttemptState })[]): void {
    this.session = session;
    this.#sequence = 1;
    this.attach({ entries });
  }

  admit(offersAllowed: boolean, reason = ""): void {
    const session = refToWire(requireRef(this.session));
    const value = { deployment, agent: this.name, session, offersAllowed, reason };
    this.#link().send([create(RegistryEventSchema, { event: { case: "admission", value } })]);
  }

  /** Is admitted with what it can do now. */
  readmit(runtimes: string[]): void {
    const session = refToWire(requireRef(this.session));
    const capabilities = { queues: ["default"], slots: this.slots, runtimes };
    const value = { deployment, agent: this.name, session, offersAllowed: true, capabilities };
    this.#link().send([create(RegistryEventSchema, { event: { case: "admission", value } })]);
  }

  detach(): void {
    const session = refToWire(requireRef(this.session));
    const value = { deployment, agent: this.name, session, reason: "stream_down" };
    this.#link().send([create(RegistryEventSchema, { event: { case: "detached", value } })]);
  }

  /** Everything heard of one kind, in order. */
  all<Case extends ServerEvent["event"]["case"]>(kind: Case): ValueOf<Case>[] {
    return this.heard.flatMap(({ event }) =>
      event.case === kind ? [event.value as ValueOf<Case>] : [],
    );
  }

  /** The nth of a kind, waited for. Offers are read as an agent reads them from the wire. */
  async next<Case extends ServerEvent["event"]["case"]>(
    kind: Case,
    nth = 1,
  ): Promise<ValueOf<Case>> {
    const what = `${kind} ${nth} at ${this.name}`;
    const value = await until(what, async () => this.all(kind)[nth - 1]);
    return kind === "offer" ? (readOffer(value as Offer) as ValueOf<Case>) : value;
  }
}

type ValueOf<Case> = Extract<ServerEvent["event"], { case: Case }>["value"];
type Ref = Pick<Offer, "task"> & { readonly attempt?: Offer["attempt"] | undefined };

export function readOffer(offer: Offer): Offer {
  return fromBinary(OfferSchema, toBinary(OfferSchema, offer));
}

export interface SchedulerWorld {
  readonly scheduler: Scheduler;
  readonly tasks: TaskStore;
  readonly client: Client<typeof TaskService>;
  /** Opens a session in the store, makes it healthy and attaches it. */
  agent(name: string, fields?: Parameters<FarAgent["attach"]>[0]): Promise<FarAgent>;
  /** Attaches an agent of another scheduler here too, as a registry never should. */
  twin(agent: FarAgent): FarAgent;
  /** Opens a session as the health-monitor sees a living agent. */
  openSession(name: string): Promise<string>;
  submit(...specs: (SpecInit & { readonly key?: string })[]): Promise<string[]>;
  stop(): void;
}

/** Starts a scheduler over the fixture's store. */
export async function startScheduler(
  world: StoreWorld,
  replica = "scheduler-1",
  wrap: (tasks: TaskStore) => TaskStore = (tasks) => tasks,
  more: Pick<SchedulerDeps, "appendAudit"> = {},
): Promise<SchedulerWorld> {
  const { store, redis } = world;
  const now = (): number => world.nowMs;
  const tasks = createTaskStore(store, now);
  const sessions = createSessionStore(store, now);
  const log = createSilentLogger();
  const clock = createSystemClock();
  const scheduler = createScheduler({
    replica,
    tasks: wrap(tasks),
    sessions,
    listDeployments: () => redis.commands.smembers("rmx:global:deployments"),
    epoch: () => store.epoch.current(),
    monitors: { list: async () => [], dial: () => Promise.reject(new Error("none")) },
    clock,
    log,
    ...more,
  });
  const subscriptions = redis.subscriptions.duplicate();
  // A test takes the store away; the connection comes back by itself.
  subscriptions.on("error", () => undefined);
  subscriptions.connect().catch(() => undefined);
  await ready(subscriptions);
  subscribeSignals(subscriptions, scheduler.signals, (_channel, error) => {
    throw error;
  });
  const pair = createInProcessLinkPair<RegistryEvent, SchedulerEvent>("registry-1", replica);
  scheduler.acceptLink(pair.server);
  const agents = new Map<string, FarAgent>();
  pair.client.onEvents((events) => {
    for (const { event } of events) {
      if (event.case === "tell") agents.get(event.value.agent)?.heard.push(...event.value.events);
    }
  });
  const transport = createLocalTransport({ routes: scheduler.routes, role: "gateway", log });
  const client = createClient(TaskService, transport);
  const openSession = async (name: string): Promise<string> => {
    const opened = await sessions.open(deployment, name, sessionFixtureFacts);
    if (opened.kind !== "opened") throw new Error(opened.kind);
    await sessions.renew(deployment, "monitor-1", [
      {
        agent: name,
        session: requireRef(opened.session),
        generation: 1,
        sequence: 1,
        loopTurns: 1,
        loopAgeMs: 0,
        runnerState: "READY",
        slotsUsed: 0,
      },
    ]);
    return opened.session;
  };
  return {
    scheduler,
    tasks,
    client,
    openSession,
    async agent(name, fields) {
      const session = await openSession(name);
      const agent = new FarAgent(name, session, () => pair.client);
      agents.set(name, agent);
      agent.attach(fields);
      await agent.next("inventoryAnswer");
      return agent;
    },
    twin(other) {
      const agent = new FarAgent(other.name, other.session, () => pair.client);
      agents.set(other.name, agent);
      agent.attach({ slots: other.slots });
      return agent;
    },
    async submit(...specs) {
      const { results } = await client.submitTasks({
        deployment,
        tasks: specs.map(({ key, ...spec }) => ({
          idempotencyKey: key ?? "",
          spec: { work: { case: "noop", value: {} }, ...spec } as SpecInit,
        })),
      });
      return results.map(({ task, refusal }) => {
        if (refusal !== undefined) throw new Error(refusal.message);
        return task;
      });
    },
    stop() {
      scheduler.stop();
      subscriptions.disconnect();
    },
  };
}

// SPDX-License-Identifier: Apache-2.0
// A small agent that stands on the proto files alone (R29): grpc-js with files loaded at run time, none
// of our generated code, none of our packages.
import { createHash, randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import {
  type ClientDuplexStream,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceClientConstructor,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const protoFolder = fileURLToPath(new URL("../../proto/", import.meta.url));

interface Numbered {
  readonly epoch: string;
  readonly number: string;
}

interface ServerEvent {
  readonly event: string;
  readonly welcome?: { session: Numbered; generation: string; deployment: string };
  readonly beat_ack?: { sequence: string };
  readonly offer?: { task: string; attempt: Numbered; spec: { work: string } };
  readonly confirm?: { task: string; attempt: Numbered };
  readonly report_answer?: { task: string; verdict: string };
  readonly trigger_event_answer?: {
    task: string;
    attempt: Numbered;
    durable_number: string;
    refusal?: { code: string } | null;
  };
}

interface ServerFrame {
  readonly events: readonly ServerEvent[];
}

/** What one run of the agent saw, in order. */
export interface AgentRun {
  readonly deployment: string;
  readonly acknowledgedBeats: number;
  readonly tasks: readonly string[];
  readonly verdicts: readonly string[];
  /** Cases of the work that was offered. */
  readonly offered: readonly string[];
}

/** Where the agent dials and who it is. */
export interface AgentOptions {
  /** host:port of the agents' door. */
  readonly target: string;
  readonly token: string;
  readonly agent: string;
  readonly queues: readonly string[];
  /** Name of its kind in the contract; a worker when absent. */
  readonly kind?: string;
  /** What it says that it can run; noop when absent. */
  readonly runtimes?: readonly string[];
  /** Ends the run after so many reports were answered. */
  readonly tasks: number;
}

const sha256 = (text: string): Buffer => createHash("sha256").update(text).digest();

function openStream(options: AgentOptions): ClientDuplexStream<object, ServerFrame> {
  const definition = loadSync("remex/agent/v1/agent_session_service.proto", {
    includeDirs: [protoFolder],
    keepCase: true,
    longs: String,
    enums: String,
    oneofs: true,
  });
  const loaded = loadPackageDefinition(definition) as unknown as {
    remex: { agent: { v1: { AgentSessionService: ServiceClientConstructor } } };
  };
  const client = new loaded.remex.agent.v1.AgentSessionService(
    options.target,
    credentials.createInsecure(),
  );
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${options.token}`);
  const open = client.Session as unknown as (
    metadata: Metadata,
  ) => ClientDuplexStream<object, ServerFrame>;
  const stream = open.call(client, metadata);
  stream.on("close", () => client.close());
  return stream;
}

const hello = (options: AgentOptions): object => ({
  hello: {
    protocol_min: 1,
    protocol_max: 1,
    agent: options.agent,
    instance: randomBytes(16),
    kind: options.kind ?? "AGENT_KIND_WORKER",
    software_version: "contract-test",
    capabilities: { queues: options.queues, slots: 2, runtimes: options.runtimes ?? ["noop"] },
    inventory: { sequence: 0, entries: [], digest: sha256("") },
  },
});

const report = (task: string, attempt: Numbered): object => ({
  report: {
    task,
    attempt,
    outcome: { kind: "OUTCOME_KIND_SUCCEEDED", reason: "OUTCOME_REASON_UNSPECIFIED" },
    digest: sha256("OUTCOME_KIND_SUCCEEDED\nOUTCOME_REASON_UNSPECIFIED\n\n\n\n"),
  },
});

/** Registers, beats, runs tasks to their end, says goodbye; rejects with the call's status. */
export function runContractAgent(options: AgentOptions): Promise<AgentRun> {
  return new Promise((resolve, reject) => {
    const stream = openStream(options);
    const run = {
      deployment: "",
      acknowledgedBeats: 0,
      tasks: [] as string[],
      verdicts: [] as string[],
      offered: [] as string[],
    };
    let session: Numbered | undefined;
    let generation = "0";
    let sequence = 0;
    const say = (...events: object[]): void => {
      stream.write({ ...(session && { session }), generation, events });
    };
    const handle = (event: ServerEvent): void => {
      if (event.welcome) {
        ({ session, generation } = event.welcome);
        run.deployment = event.welcome.deployment;
        sequence += 1;
        say({
          beat: {
            sequence,
            loop_turns: 1,
            runner_state: "RUNNER_STATE_READY",
            inventory_digest: sha256(""),
          },
        });
      } else if (event.beat_ack) {
        run.acknowledgedBeats += 1;
      } else if (event.offer) {
        sequence += 1;
        run.offered.push(event.offer.spec.work);
        say({ accept: { task: event.offer.task, attempt: event.offer.attempt, sequence } });
      } else if (event.confirm) {
        const { task, attempt } = event.confirm;
        run.tasks.push(task);
        const started = { progress: { task, attempt, started: {} } };
        // A trigger emits an event, and ends when that is durable.
        if (options.kind === "AGENT_KIND_TRIGGERER") {
          const payload = Buffer.from("from the proto alone");
          say(started, { trigger_event: { task, attempt, number: 1, payload } });
        } else say(started, report(task, attempt));
      } else if (event.trigger_event_answer) {
        const { task, attempt, durable_number, refusal } = event.trigger_event_answer;
        if (refusal) reject(new Error(refusal.code));
        if (durable_number === "1") say(report(task, attempt));
      } else if (event.report_answer) {
        run.verdicts.push(event.report_answer.verdict);
        if (run.verdicts.length < options.tasks) return;
        say({ goodbye: { empty: true, reason: "contract test done" } });
        stream.end();
        resolve(run);
      }
    };
    stream.on("data", (frame: ServerFrame) => frame.events.forEach(handle));
    stream.on("error", reject);
    stream.write({ events: [hello(options)] });
  });
}

// SPDX-License-Identifier: Apache-2.0
// The runner's socket: lets one agent in, greets it, and hands its frames on.

import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { type Failure, failureOf } from "@remex/domain";
import type {
  AgentEventJson,
  AgentHelloJson,
  JournalEntryJson,
  RunnerEventJson,
  RunnerHelloJson,
} from "@remex/proto/runner/v1";
import type { Logger } from "@remex/runtime";
import { agentEventsOf } from "../contract/frame-check.ts";
import { FrameWriter } from "../contract/frame-writer.ts";
import { FrameReader, FramingError } from "../contract/framing.ts";
import { shortSocketPath } from "../contract/socket-path.ts";

/** Version of the runner contract that is spoken here. */
export const contractVersion = 1;

export interface RunnerServerOptions {
  readonly stateDir: string;
  readonly log: Logger;
  readonly softwareVersion: string;
  /** Runtimes and the versions of what they stand on. */
  readonly runtimes: readonly string[];
  readonly runtimeVersions: Readonly<Record<string, string>>;
  readonly journal: () => JournalEntryJson[];
  readonly onEvents: (events: readonly AgentEventJson[]) => void;
  /** The one agent's end has closed. */
  readonly onAgentGone: () => void;
}

/** The socket of a runner. Once its agent is gone it lets no other one in. */
export class RunnerServer {
  readonly #options: RunnerServerOptions;
  readonly #server: Server;
  readonly #path: string;
  #agent: Socket | undefined;
  #writer: FrameWriter<RunnerEventJson> | undefined;

  constructor(options: RunnerServerOptions) {
    this.#options = options;
    this.#path = shortSocketPath(options.stateDir);
    this.#server = createServer((socket) => this.#admit(socket));
  }

  /** Listens. The lock is held, so a socket that is there belongs to nobody. */
  async listen(): Promise<void> {
    rmSync(this.#path, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#path, () => resolve());
    });
    chmodSync(this.#path, 0o600);
  }

  /** True while an agent is connected. */
  get hasAgent(): boolean {
    return this.#agent !== undefined;
  }

  send(event: RunnerEventJson): void {
    this.#writer?.send(event);
  }

  /** Sends with the next frame, which follows soon. */
  sendLazily(event: RunnerEventJson): void {
    this.#writer?.sendLazily(event);
  }

  /** Writes out what waits, closes the socket and removes it. */
  async close(): Promise<void> {
    this.#writer?.flush();
    const agent = this.#agent;
    if (agent !== undefined) await new Promise<void>((resolve) => agent.end(() => resolve()));
    agent?.destroy();
    rmSync(this.#path, { force: true });
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #admit(socket: Socket): void {
    const reader = new FrameReader();
    socket.on("data", (piece: Buffer) => this.#read(socket, reader, piece));
    socket.on("error", (err) => this.#options.log.warn({ err }, "agent connection broke"));
    socket.once("close", () => {
      // Somebody who never said hello (a probe) was not the agent.
      if (socket !== this.#agent) return;
      this.#writer = undefined;
      this.#options.onAgentGone();
    });
  }

  #read(socket: Socket, reader: FrameReader, piece: Buffer): void {
    try {
      for (const frame of reader.push(piece)) {
        const events = agentEventsOf(frame);
        this.#options.onEvents(socket === this.#agent ? events : this.#greet(socket, events));
      }
    } catch (error) {
      if (!(error instanceof FramingError)) throw error;
      this.#options.log.error({ err: error }, "agent broke the runner contract");
      socket.destroy();
    }
  }

  /** The first event must be a hello; gives the events after it. */
  #greet(socket: Socket, events: readonly AgentEventJson[]): readonly AgentEventJson[] {
    const [first, ...rest] = events;
    if (first?.hello === undefined) throw new FramingError("the first event is not a hello");
    const failure =
      this.#agent === undefined ? versionFailure(first.hello) : failureOf("runner_busy");
    if (failure !== undefined) {
      refuse(socket, failure);
      return [];
    }
    this.#agent = socket;
    this.#writer = new FrameWriter(socket);
    this.#options.log.info({ agent: first.hello.agent }, "agent connected");
    this.send({ hello: this.#hello() });
    this.send({ ready: { ready: true } });
    return rest;
  }

  #hello(): RunnerHelloJson {
    const { runtimes, runtimeVersions, softwareVersion } = this.#options;
    return {
      contract: contractVersion,
      runtimes: [...runtimes],
      runtimeVersions: { ...runtimeVersions },
      journal: this.#options.journal(),
      softwareVersion,
    };
  }
}

function versionFailure(hello: AgentHelloJson): Failure | undefined {
  const min = hello.contractMin ?? 0;
  const max = hello.contractMax ?? 0;
  if (min <= contractVersion && contractVersion <= max) return undefined;
  return failureOf("contract_version_unsupported", { min, max, supported: contractVersion });
}

function refuse(socket: Socket, failure: Failure): void {
  const { code, message, retryable } = failure;
  const writer = new FrameWriter<RunnerEventJson>(socket);
  writer.send({ hello: { contract: contractVersion, error: { code, message, retryable } } });
  writer.flush();
  socket.end();
}

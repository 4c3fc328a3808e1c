// SPDX-License-Identifier: Apache-2.0
// The agent's end of the runner's socket: hello, frames both ways, and the news that it closed.

import { connect, type Socket } from "node:net";
import type { AgentEventJson, RunnerEventJson } from "@remex/proto/runner/v1";
import { runnerEventsOf } from "../contract/frame-check.ts";
import { FrameWriter } from "../contract/frame-writer.ts";
import { FrameReader } from "../contract/framing.ts";

export interface RunnerConnectionOptions {
  readonly socketPath: string;
  readonly agent: string;
  /** 16 bytes. */
  readonly instance: Uint8Array;
  readonly onEvents: (events: readonly RunnerEventJson[]) => void;
  /** Called once, with why. */
  readonly onClosed: (reason: string) => void;
}

export interface RunnerConnection {
  send(event: AgentEventJson): void;
  /** Ends the connection after what waits was written. */
  close(): void;
}

/** Connects and says hello; rejects when nobody listens. */
export function connectRunner(options: RunnerConnectionOptions): Promise<RunnerConnection> {
  return new Promise((resolve, reject) => {
    const socket = connect(options.socketPath);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(serve(socket, options));
    });
  });
}

function serve(socket: Socket, options: RunnerConnectionOptions): RunnerConnection {
  const reader = new FrameReader();
  const writer = new FrameWriter<AgentEventJson>(socket);
  let reason = "the runner closed the connection";
  socket.on("data", (piece: Buffer) => {
    try {
      for (const frame of reader.push(piece)) options.onEvents(runnerEventsOf(frame));
    } catch (error) {
      reason = (error as Error).message;
      socket.destroy();
    }
  });
  socket.on("error", (error) => {
    reason = error.message;
  });
  socket.once("close", () => options.onClosed(reason));
  writer.send({
    hello: {
      contractMin: 1,
      contractMax: 1,
      agent: options.agent,
      instance: Buffer.from(options.instance).toString("base64"),
    },
  });
  return {
    // The journal may forget a little later; starts and stops may not wait.
    send: (event) => (event.forget === undefined ? writer.send(event) : writer.sendLazily(event)),
    close: () => {
      writer.flush();
      socket.end();
    },
  };
}

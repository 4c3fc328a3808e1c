// SPDX-License-Identifier: Apache-2.0
// The loopback address that Airflow's Task SDK talks to: each request is forwarded over the session.

import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { formatRef, type NumberedRef } from "@remex/domain";
import type { Logger } from "@remex/runtime";
import { answer, forwardRequest, type SideCalls } from "./forward.ts";

export interface LoopbackOptions {
  readonly log: Logger;
  /** Undefined while the agent is not connected. */
  readonly sideCalls: () => SideCalls | undefined;
}

interface Guest {
  readonly task: string;
  readonly attempt: NumberedRef;
}

/**
 * Listens on loopback alone, on a port that the system chooses. Each running attempt has a secret in its
 * address, so a task reaches the API as itself only; when the attempt is over, its secret is void.
 */
export class Loopback {
  readonly #options: LoopbackOptions;
  readonly #server: Server;
  readonly #guests = new Map<string, Guest>();
  readonly #secrets = new Map<string, string>();
  #port = 0;

  constructor(options: LoopbackOptions) {
    this.#options = options;
    this.#server = createServer({ headersTimeout: 10_000 }, (request, response) =>
      this.#serve(request, response),
    );
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(0, "127.0.0.1", resolve);
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** The base URL of an attempt; the same one when it is asked for again. */
  admit(task: string, attempt: NumberedRef): string {
    const key = `${task}/${formatRef(attempt)}`;
    let secret = this.#secrets.get(key);
    if (secret === undefined) {
      secret = randomBytes(24).toString("base64url");
      this.#secrets.set(key, secret);
      this.#guests.set(secret, { task, attempt });
    }
    return `http://127.0.0.1:${this.#port}/${secret}/execution/`;
  }

  /** The attempt is over. */
  dismiss(task: string, attempt: NumberedRef): void {
    if (this.#secrets.size === 0) return;
    const key = `${task}/${formatRef(attempt)}`;
    const secret = this.#secrets.get(key);
    if (secret === undefined) return;
    this.#secrets.delete(key);
    this.#guests.delete(secret);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const [, secret = "", ...rest] = (request.url ?? "/").split("/");
    const guest = this.#guests.get(secret);
    const path = `/${rest.join("/")}`;
    if (guest === undefined) {
      // No word about which attempts there are: the caller may be anybody on this host.
      answer(response, 404, "unknown_address", "this address serves no running attempt");
      return;
    }
    if (!path.startsWith("/execution/")) {
      answer(response, 404, "path_not_served", "only paths under /execution/ are served");
      return;
    }
    const sideCalls = this.#options.sideCalls();
    if (sideCalls === undefined) {
      answer(response, 503, "not_connected", "the agent is not connected to the control plane");
      return;
    }
    const { task, attempt } = guest;
    forwardRequest({ request, response, path, task, attempt, sideCalls, log: this.#options.log });
  }
}

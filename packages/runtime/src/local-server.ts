// SPDX-License-Identifier: Apache-2.0
// The local port of a process: /metrics, /healthz and /readyz, for probes and Prometheus.

import { createServer, type ServerResponse } from "node:http";
import { type ListenAddress, listenError } from "./listen-address.ts";
import type { Metrics } from "./metrics.ts";
import type { Readiness } from "./readiness.ts";

export interface LocalServerOptions {
  readonly listen: ListenAddress;
  /** The option that chooses the address, for the message when it is in use. */
  readonly flag: string;
  readonly metrics: Metrics;
  readonly readiness: Readiness;
}

export interface LocalServer {
  /** Where it listens, with the port that it got. */
  readonly address: ListenAddress;
  close(): Promise<void>;
}

/**
 * Serves metrics and health:
 * - `/metrics`: Prometheus text.
 * - `/healthz`: 200 while the process turns; a probe that gets no answer should restart it.
 * - `/readyz`: 200 when every part is ready, else 503; the body names the problems, as JSON.
 * Rejects with a ListenError when the address cannot be had.
 */
export async function startLocalServer(options: LocalServerOptions): Promise<LocalServer> {
  const { metrics, readiness } = options;
  const server = createServer({ headersTimeout: 10_000 }, (request, response) => {
    const path = (request.url ?? "/").split("?", 1)[0];
    switch (path) {
      case "/metrics":
        metrics.text().then(
          (text) => answer(response, 200, metrics.contentType, text),
          () => answer(response, 500, "text/plain", "metrics cannot be read\n"),
        );
        return;
      case "/healthz":
        answer(response, 200, "text/plain", "ok\n");
        return;
      case "/readyz": {
        const report = readiness.report();
        answer(response, report.ready ? 200 : 503, "application/json", JSON.stringify(report));
        return;
      }
      default:
        answer(response, 404, "text/plain", "known paths: /metrics /healthz /readyz\n");
    }
  });
  const { host, port } = options.listen;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => reject(listenError(options.listen, options.flag, cause)));
    server.listen({ host, port }, resolve);
  });
  const bound = server.address();
  return {
    address: { host, port: typeof bound === "object" && bound !== null ? bound.port : port },
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function answer(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) });
  response.end(body);
}

// SPDX-License-Identifier: Apache-2.0
// Connections to Airflow's API servers, kept open between calls.
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";

export interface ApiConnections {
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
  close(): void;
}

// An API server closes idle connections after 5 s or more (uvicorn's default); ours go first, so that
// a request seldom meets a connection that is just being closed.
const settings = { keepAlive: true, maxFreeSockets: 64, maxSockets: 512, timeout: 120_000 };
const idleMs = 4_000;

export function createApiConnections(): ApiConnections {
  const http = new HttpAgent(settings);
  const https = new HttpsAgent(settings);
  for (const agent of [http, https]) {
    agent.on("free", (socket) => socket.setTimeout(idleMs));
  }
  return {
    http,
    https,
    close: () => {
      http.destroy();
      https.destroy();
    },
  };
}

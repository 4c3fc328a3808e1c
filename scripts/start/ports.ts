// SPDX-License-Identifier: Apache-2.0
// The ports of one run: the well-known ones where they are free, others where not.

import { createServer } from "node:net";

/** Where each door would like to listen. */
const wanted = {
  gateway: 7080,
  agents: 7443,
  internal: 7081,
  metrics: 7090,
  airflow: 8080,
  agentMetrics: 7091,
};

export type Ports = Readonly<Record<keyof typeof wanted, number>>;

function tryPort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? address?.port : undefined));
    });
  });
}

async function choose(port: number): Promise<number> {
  const chosen = (await tryPort(port)) ?? (await tryPort(0));
  if (chosen === undefined) throw new Error("no port of 127.0.0.1 can be listened on");
  return chosen;
}

export async function choosePorts(): Promise<Ports> {
  const entries: [string, number][] = [];
  for (const [name, port] of Object.entries(wanted)) entries.push([name, await choose(port)]);
  return Object.fromEntries(entries) as Ports;
}

// SPDX-License-Identifier: Apache-2.0
// The ports of one run: the well-known ones where they are free, others where not.

import { createServer, type Server } from "node:net";

/** Where each door would like to listen. */
const wanted = {
  gateway: 8700,
  agents: 8701,
  internal: 8702,
  metrics: 8703,
  agentHealth: 8704,
  airflow: 8080,
};

export type Ports = Readonly<Record<keyof typeof wanted, number>>;

function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
  return address.port;
}

export async function choosePorts(): Promise<Ports> {
  const held: [string, Server][] = [];
  for (const [name, port] of Object.entries(wanted)) {
    const server = (await listen(port)) ?? (await listen(0));
    if (server === undefined) throw new Error("no port of 127.0.0.1 can be listened on");
    held.push([name, server]);
  }
  // Held until all are chosen, so that no port is given twice.
  const ports = held.map(([name, server]) => [name, portOf(server)]);
  await Promise.all(held.map(([, server]) => new Promise((resolve) => server.close(resolve))));
  return Object.fromEntries(ports) as Ports;
}

// SPDX-License-Identifier: Apache-2.0
// Makes a listener listen, with a backlog that a crowd of returning agents fits in.

import type { Server } from "node:net";
import type { ListenAddress } from "@remex/runtime";

/** Connections that may wait to be taken; the kernel cuts it to its own limit (somaxconn). */
const backlog = 4_096;

/** Listens, or rejects with what `explain` makes of the error. Answers the address with its real port. */
export function listenOn(
  server: Server,
  address: ListenAddress,
  explain: (cause: unknown) => Error,
): Promise<ListenAddress> {
  return new Promise((resolve, reject) => {
    const onError = (cause: unknown) => reject(explain(cause));
    server.once("error", onError);
    server.listen({ host: address.host, port: address.port, backlog }, () => {
      server.off("error", onError);
      const bound = server.address();
      const port = typeof bound === "object" && bound !== null ? bound.port : address.port;
      resolve({ host: address.host, port });
    });
  });
}

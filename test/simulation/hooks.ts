// SPDX-License-Identifier: Apache-2.0
// Loaded before everything else: puts the simulated system under our code, and mutants in place of rules.

import { registerHooks } from "node:module";
import { installMutant } from "./mutate.ts";

/** Our own files whose other side is a socket: the same exports, over the simulated network. */
const standIns: Readonly<Record<string, string>> = {
  "packages/store/src/core/redis.ts": "redis/redis-client.ts",
  "packages/transport/src/grpc-client.ts": "wire/sim-grpc-client.ts",
  "packages/transport/src/grpc-server.ts": "wire/sim-grpc-server.ts",
};

/** What Node gives the agent and its runner of the system. */
const systemModules: Readonly<Record<string, string>> = {
  "node:fs": "os/sim-fs.ts",
  "node:net": "os/sim-net.ts",
  "node:child_process": "os/sim-child-process.ts",
  "node:http": "os/sim-http.ts",
};

/** What our transport takes of Connect for Node: everything that opens a socket. */
const connectNode = "@connectrpc/connect-node";

const root = new URL("../../", import.meta.url).href;
const here = new URL("./", import.meta.url).href;
const agentFolder = `${root}packages/agent/src/`;
const transportFolder = `${root}packages/transport/src/`;

registerHooks({
  resolve(specifier, context, nextResolve) {
    const system = systemModules[specifier];
    if (system !== undefined && context.parentURL?.startsWith(agentFolder)) {
      return { url: `${here}${system}`, shortCircuit: true, format: "module-typescript" };
    }
    if (specifier === connectNode && context.parentURL?.startsWith(transportFolder)) {
      const url = `${here}wire/sim-connect-node.ts`;
      return { url, shortCircuit: true, format: "module-typescript" };
    }
    const resolved = nextResolve(specifier, context);
    if (!resolved.url.startsWith(root)) return resolved;
    const standIn = standIns[resolved.url.slice(root.length)];
    // A stand-in may use what it stands for.
    if (standIn === undefined || context.parentURL?.startsWith(here)) return resolved;
    return { ...resolved, url: `${here}${standIn}` };
  },
});

const mutant = process.env.REMEX_MUTANT;
if (mutant !== undefined) installMutant(mutant);

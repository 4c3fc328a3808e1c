// SPDX-License-Identifier: Apache-2.0
// What simulated processes are told: the names that they dial, and the key between services.

import { Secret } from "@remex/runtime";

/** Any registry that serves agents. */
export const registriesAddress = "registries";

/** Nobody checks it: whoever can reach a simulated port is let in. */
export const simulationKey = new Secret("key of the simulation");

// SPDX-License-Identifier: Apache-2.0
// Names that simulated processes dial, as a name service or a load balancer would know them.

/** Any registry that serves agents. */
export const registriesAddress = "registries";

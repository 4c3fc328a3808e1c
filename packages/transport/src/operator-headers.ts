// SPDX-License-Identifier: Apache-2.0
// What the gateway tells a service about the operator key behind a call that it passes on.

/**
 * Slug of the deployment that the key is bound to; absent for keys of all deployments. Methods whose
 * scope is the key's own narrow their answer to it. Only holders of the service key can send it.
 */
export const keyDeploymentHeader = "remex-key-deployment";

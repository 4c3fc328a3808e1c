// SPDX-License-Identifier: Apache-2.0
// The first parts of all keys: one hash slot per deployment, and the few keys that belong to none.

/** Prefix of every key of one deployment; its braces put them all in one hash slot. */
export function deploymentTag(deployment: string): string {
  return `rmx:{${deployment}}`;
}

/** Key of a deployment's configuration, projected by the registry and read by every function. */
export function configKey(deployment: string): string {
  return `${deploymentTag(deployment)}:config`;
}

/** Keys that belong to no deployment. */
export const globalKeys = {
  epoch: "rmx:global:epoch",
  /** Written before replicas are waited for. */
  fence: "rmx:global:fence",
  /** Hash of the server that the epoch belongs to. */
  server: "rmx:global:server",
  records: "rmx:global:records",
  deployments: "rmx:global:deployments",
  replicas: (role: string): string => `rmx:global:replicas:${role}`,
} as const;

/** Channels of the wake-ups; every one of them may be lost, a sweep makes up for it. */
export const channels = {
  /** Work waits, or sessions wait to be given up: {deployment, lanes?, giveup?}. */
  wake: "rmx:global:wake",
  /** Agents of a deployment changed: {deployment, agents}. */
  agents: "rmx:global:agents",
  /** A deployment's configuration changed: {deployment}. */
  config: "rmx:global:config",
  /** Task changes were written: {deployment}. */
  changes: "rmx:global:changes",
} as const;

// SPDX-License-Identifier: Apache-2.0
// The deployments' settings as this registry last read them; read again when they are signalled.
import type { ProjectedDeployment } from "@remex/store";

export interface DeploymentConfigs {
  /** Reads them from the store, and remembers. */
  load(deployment: string): Promise<ProjectedDeployment | undefined>;
  /** What was read last. */
  known(deployment: string): ProjectedDeployment | undefined;
}

export function createDeploymentConfigs(
  read: (deployment: string) => Promise<ProjectedDeployment | undefined>,
): DeploymentConfigs {
  const known = new Map<string, ProjectedDeployment>();
  return {
    async load(deployment) {
      const config = await read(deployment);
      if (config === undefined) known.delete(deployment);
      else known.set(deployment, config);
      return config;
    },
    known: (deployment) => known.get(deployment),
  };
}

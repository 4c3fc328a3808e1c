// SPDX-License-Identifier: Apache-2.0
// The public door of @remex/runtime: names only, no code.

export { type Backoff, type BackoffOptions, createBackoff, type Random } from "./backoff.ts";
export {
  type CancelTimer,
  type Clock,
  createElapsedTime,
  createSystemClock,
  sleep,
  type TimeSources,
} from "./clock.ts";
export {
  type Config,
  type ConfigOutcome,
  type ConfigSources,
  envNameOf,
  flagOf,
  readConfig,
  type Setting,
  type Settings,
} from "./config.ts";
export {
  formatAddress,
  isLoopback,
  type ListenAddress,
  ListenError,
  listenError,
  parseListenAddress,
} from "./listen-address.ts";
export { type LocalServer, type LocalServerOptions, startLocalServer } from "./local-server.ts";
export {
  createLogger,
  createSilentLogger,
  type Logger,
  type LoggerOptions,
  type LogLevel,
  logLevels,
} from "./log.ts";
export {
  createMetrics,
  durationBuckets,
  type Metrics,
  type MetricsOptions,
  metricPrefix,
} from "./metrics.ts";
export { Pacer } from "./pacer.ts";
export { type ProcessEvents, type RunProcessOptions, runProcess } from "./process.ts";
export {
  createReadiness,
  type Readiness,
  type ReadinessPart,
  type ReadinessReport,
} from "./readiness.ts";
export { hideCredentials, Secret } from "./secret.ts";
export {
  loadOrCreateSecretFile,
  readSecretFile,
  SecretFileError,
  writeSecretFile,
} from "./secret-file.ts";
export {
  durationSetting,
  integerSetting,
  listenAddressSetting,
  listSetting,
  logLevelSetting,
  pairsSetting,
  secretSetting,
  switchSetting,
} from "./setting-schemas.ts";
export { createShutdown, type Shutdown, type StopHook } from "./shutdown.ts";

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
  formatAddress,
  isLoopback,
  type ListenAddress,
  ListenError,
  listenError,
  parseListenAddress,
} from "./listen-address.ts";
export {
  createLogger,
  createSilentLogger,
  type Logger,
  type LoggerOptions,
  type LogLevel,
  logLevels,
} from "./log.ts";
export { hideCredentials, Secret } from "./secret.ts";
export {
  loadOrCreateSecretFile,
  readSecretFile,
  SecretFileError,
  writeSecretFile,
} from "./secret-file.ts";

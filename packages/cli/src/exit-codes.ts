// SPDX-License-Identifier: Apache-2.0
// What the exit code of the remex command means; part of its contract with scripts.

export const exitCodes = {
  ok: 0,
  /** The call was refused or failed, and none of the codes below says it better. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** No answer of a gateway, or a part of the control plane behind it is away. */
  unreachable: 3,
  /** No operator key, one that is not accepted, or one that may not do this. */
  notAuthorised: 4,
  notFound: 5,
  /** A task that was waited for did not succeed. */
  taskFailed: 6,
  /** Ended by Ctrl-C. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

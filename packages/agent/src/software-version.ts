// SPDX-License-Identifier: Apache-2.0
// The version of this agent, as it tells the control plane and prints it.

/** Kept equal to the package's version; a test compares them. */
export const softwareVersion = "0.1.0";

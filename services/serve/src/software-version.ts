// SPDX-License-Identifier: Apache-2.0
// The version of this software, as replicas and status show it.

export const softwareVersion = "0.1.0";

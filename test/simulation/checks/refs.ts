// SPDX-License-Identifier: Apache-2.0
// Numbers of the form "epoch.number", compared as the protocol compares them.

export function isAfter(ref: string, other: string): boolean {
  const [epoch = 0, number = 0] = ref.split(".").map(Number);
  const [otherEpoch = 0, otherNumber = 0] = other.split(".").map(Number);
  return epoch > otherEpoch || (epoch === otherEpoch && number > otherNumber);
}

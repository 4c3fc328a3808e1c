// SPDX-License-Identifier: Apache-2.0
// The store's epoch as one process holds it (PROTOCOL D2, T7), and what it has heard of greater ones.

/** The epoch as a process knows it. */
export interface EpochCell {
  /** The epoch as text; empty until it was read for the first time. */
  current(): string;
  /** Sets it after it was read. */
  set(epoch: string): void;
  /** Greatest epoch that this process was ever told by the store; 0 before the first. */
  greatest(): number;
  /** An agent says that it has seen this epoch; only a greater one than all before counts. */
  claim(epoch: number): void;
  /** Greatest epoch that an agent has claimed; 0 when none has. */
  claimed(): number;
}

/** Makes an empty cell. */
export function createEpochCell(): EpochCell {
  let epoch = "";
  let greatest = 0;
  let claimed = 0;
  return {
    current: () => epoch,
    set: (next) => {
      epoch = next;
      greatest = Math.max(greatest, Number(next || "0"));
    },
    greatest: () => greatest,
    claim: (seen) => {
      claimed = Math.max(claimed, seen);
    },
    claimed: () => claimed,
  };
}

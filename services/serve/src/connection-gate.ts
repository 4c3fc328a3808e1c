// SPDX-License-Identifier: Apache-2.0
// Holds calls back on a new connection until the server behind it was looked at (PROTOCOL D2).

export interface ConnectionGate {
  /** The connection is gone; nothing is known of the server of the next one. */
  shut(): void;
  /** Number of the present connection, or of the next one. */
  connection(): number;
  /** The server of that connection was looked at. False when another connection has taken its place. */
  open(connection: number): boolean;
  isOpen(): boolean;
}

/** A gate that is shut until a connection was looked at. Pure: it knows no Redis. */
export function createConnectionGate(): ConnectionGate {
  let connection = 0;
  let opened = -1;
  return {
    shut: () => {
      connection += 1;
    },
    connection: () => connection,
    open: (looked) => {
      if (looked !== connection) return false;
      opened = looked;
      return true;
    },
    isOpen: () => opened === connection,
  };
}

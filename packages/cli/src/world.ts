// SPDX-License-Identifier: Apache-2.0
// The process around the command, as an object: its streams, environment, clock and Ctrl-C.

export interface World {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Wall clock, for ages of instants that services sent; nothing is decided by it. */
  nowMs(): number;
  /** The command's answer. Resolves when there is room for more. */
  write(text: string | Uint8Array): Promise<void>;
  /** For people: errors, warnings, progress, next steps. */
  tell(text: string): void;
  readStdin(): Promise<string>;
  /** Asks the person at the terminal for a line; undefined when nobody is there. */
  ask(question: string): Promise<string | undefined>;
  /** Aborted by Ctrl-C, for commands that listen; the others end at once. */
  onInterrupt(): { readonly signal: AbortSignal; release(): void };
}

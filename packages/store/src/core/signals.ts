// SPDX-License-Identifier: Apache-2.0
// Wake-ups between processes by publish and subscribe; a lost one costs at most one sweep.
import type { Redis } from "ioredis";

/** Subscribes to channels; each message is handed over as parsed JSON. Subscriptions come back by themselves. */
export function subscribeSignals(
  subscriptions: Redis,
  handlers: Readonly<Record<string, (message: unknown) => void>>,
  onBadMessage: (channel: string, error: Error) => void,
): void {
  const names = Object.keys(handlers);
  const subscribe = (): void => {
    // A failure here means that the connection went away again: "ready" brings us back.
    subscriptions.subscribe(...names).catch(() => undefined);
  };
  subscriptions.on("ready", subscribe);
  if (subscriptions.status === "ready") subscribe();
  subscriptions.on("message", (channel: string, text: string) => {
    const handler = handlers[channel];
    if (!handler) return;
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch (error) {
      onBadMessage(channel, error as Error);
      return;
    }
    handler(message);
  });
}

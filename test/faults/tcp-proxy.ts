// SPDX-License-Identifier: Apache-2.0
// A network that can fail: a TCP proxy that holds bytes back in either direction, and refuses or cuts.

import { connect, createServer, type Server, type Socket } from "node:net";

/** What the network does. Held bytes are delivered later, as TCP's own retransmission would. */
export type Weather = "fair" | "cut" | "cutToTarget" | "cutToClient" | "refuse";

export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  setWeather(weather: Weather): void;
  /** Whose connections the weather meets: all (default), or those from these local ports of clients. */
  setVictims(meets: ((clientPort: number) => boolean) | undefined): void;
  /** Where new connections go; the first that answers is taken, beginning at another one each time. */
  setTargets(ports: readonly number[]): void;
  /** Ends every connection at once. */
  cutConnections(): number;
  /** Connections that were held, refused or cut: the proof that a fault took effect. */
  readonly harm: { held: number; refused: number; cut: number };
}

interface Pair {
  readonly client: Socket;
  readonly clientPort: number;
  target: Socket | undefined;
}

export async function startTcpProxy(targets: readonly number[]): Promise<TcpProxy> {
  let weather: Weather = "fair";
  let victims: ((clientPort: number) => boolean) | undefined;
  let ports = targets;
  let turn = 0;
  const pairs = new Set<Pair>();
  const harm = { held: 0, refused: 0, cut: 0 };
  const meets = (pair: Pair) => victims === undefined || victims(pair.clientPort);
  const toTarget = (pair: Pair) => (weather === "cut" || weather === "cutToTarget") && meets(pair);
  const toClient = (pair: Pair) => (weather === "cut" || weather === "cutToClient") && meets(pair);

  function end(pair: Pair): void {
    pairs.delete(pair);
    pair.client.destroy();
    pair.target?.destroy();
  }

  function apply(pair: Pair): void {
    const { client, target } = pair;
    if (target === undefined) return;
    if (toTarget(pair) || toClient(pair)) harm.held += 1;
    if (toTarget(pair)) client.pause();
    else client.resume();
    if (toClient(pair)) target.pause();
    else target.resume();
  }

  function pass(pair: Pair, from: Socket, to: Socket, held: (pair: Pair) => boolean): void {
    from.on("data", (bytes) => {
      // Read just before the pause took effect: it waits at the far end of the pause.
      if (held(pair)) {
        from.unshift(bytes);
        from.pause();
      } else if (!to.write(bytes)) {
        from.pause();
        to.once("drain", () => apply(pair));
      }
    });
  }

  function dial(pair: Pair, left: readonly number[]): void {
    const [port, ...others] = left;
    if (port === undefined) {
      harm.refused += 1;
      end(pair);
      return;
    }
    const target = connect({ port, host: "127.0.0.1", noDelay: true });
    target.once("error", () => {
      if (pair.target === undefined) dial(pair, others);
    });
    target.once("connect", () => {
      pair.target = target;
      target.on("error", () => end(pair));
      target.once("close", () => end(pair));
      pass(pair, pair.client, target, toTarget);
      pass(pair, target, pair.client, toClient);
      apply(pair);
    });
  }

  const server: Server = createServer({ noDelay: true }, (client) => {
    const pair: Pair = { client, clientPort: client.remotePort ?? 0, target: undefined };
    pairs.add(pair);
    client.on("error", () => end(pair));
    client.once("close", () => end(pair));
    client.pause();
    if (weather === "refuse") {
      harm.refused += 1;
      end(pair);
      return;
    }
    turn += 1;
    const first = turn % Math.max(1, ports.length);
    dial(pair, [...ports.slice(first), ...ports.slice(0, first)]);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve());
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port was given");

  const cutConnections = (): number => {
    const count = pairs.size;
    for (const pair of [...pairs]) end(pair);
    harm.cut += count;
    return count;
  };
  return {
    port: address.port,
    harm,
    setWeather: (next) => {
      weather = next;
      for (const pair of pairs) apply(pair);
    },
    setVictims: (next) => {
      victims = next;
      for (const pair of pairs) apply(pair);
    },
    setTargets: (next) => {
      ports = next;
    },
    cutConnections,
    [Symbol.asyncDispose]: async () => {
      cutConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

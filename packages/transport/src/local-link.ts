// SPDX-License-Identifier: Apache-2.0
// Links between roles of one process: the same interface, no serialisation, still one batch per turn.

import { type FrameLink, LinkClosed } from "./link.ts";

/** Both ends of a link within one process; what one end sends, the other receives as it is. */
export interface LocalLinkPair<Request, Response> {
  /** The end of the dialling side: sends requests' events, receives responses' events. */
  readonly client: FrameLink<Response, Request>;
  /** The end of the serving side. */
  readonly server: FrameLink<Request, Response>;
}

/** Joins two roles. `clientName` and `serverName` are what each end calls the other in logs. */
export function createInProcessLinkPair<Request, Response>(
  clientName: string,
  serverName: string,
): LocalLinkPair<Request, Response> {
  const client = createLocalEnd<Response, Request>(serverName);
  const server = createLocalEnd<Request, Response>(clientName);
  client.join(server);
  server.join(client);
  return { client, server };
}

interface LocalEnd<In, Out> extends FrameLink<In, Out> {
  join(other: LocalEnd<Out, In>): void;
  deliver(events: In[]): void;
  finish(reason: LinkClosed): void;
}

function createLocalEnd<In, Out>(peer: string): LocalEnd<In, Out> {
  const { promise: closed, resolve: resolveClosed } = Promise.withResolvers<LinkClosed>();
  let other: LocalEnd<Out, In> | undefined;
  let outgoing: Out[] = [];
  let early: In[] = [];
  let receive: ((events: In[]) => void) | undefined;
  let ended: LinkClosed | undefined;

  function flush(): void {
    const events = outgoing;
    outgoing = [];
    if (events.length > 0) other?.deliver(events);
    if (ended?.code === "closed_here") {
      other?.finish(new LinkClosed("closed_by_peer", ended.message));
    }
  }

  const end: LocalEnd<In, Out> = {
    peer,
    closed,
    get open() {
      return ended === undefined;
    },
    quietMs: () => 0,
    join(otherEnd) {
      other = otherEnd;
    },
    send(events) {
      if (ended !== undefined || events.length === 0) return;
      if (outgoing.length === 0) setImmediate(flush);
      for (const event of events) outgoing.push(event);
    },
    onEvents(handler) {
      receive = handler;
      const events = early;
      early = [];
      if (events.length > 0) end.deliver(events);
    },
    deliver(events) {
      if (ended !== undefined) return;
      if (receive === undefined) {
        early.push(...events);
        return;
      }
      try {
        receive(events);
      } catch (cause) {
        end.finish(new LinkClosed("receiver_failed", `handling what ${peer} sent failed`, cause));
        other?.finish(new LinkClosed("closed_by_peer", "the other end failed"));
      }
    },
    close(reason = "no longer needed") {
      if (ended !== undefined) return;
      if (outgoing.length === 0) setImmediate(flush);
      end.finish(new LinkClosed("closed_here", reason));
    },
    finish(reason) {
      if (ended !== undefined) return;
      ended = reason;
      resolveClosed(reason);
    },
  };
  return end;
}

// SPDX-License-Identifier: Apache-2.0
// Where roles of one process find each other: a dial to a replica that runs here needs no socket.

import type { DescMessage, DescMethodBiDiStreaming } from "@bufbuild/protobuf";
import type { EventOf } from "./connect-link.ts";
import type { FrameLink } from "./link.ts";
import { createInProcessLinkPair } from "./local-link.ts";
import type { LinkTarget } from "./managed-links.ts";

type Accept = (link: FrameLink<unknown, unknown>) => void;

export interface LocalLinks {
  /** A role of this process serves `method` under its replica id. */
  serve<I extends DescMessage, O extends DescMessage>(
    replica: string,
    method: DescMethodBiDiStreaming<I, O>,
    accept: (link: FrameLink<EventOf<I>, EventOf<O>>) => void,
  ): void;
  /**
   * A dialler for `createManagedLinks`: joins the replica in this process where it runs here, and goes
   * by `remote` where it does not. `hello` is sent first in the local case; `remote` sends its own.
   */
  dialler<I extends DescMessage, O extends DescMessage>(
    own: { readonly replica: string; readonly hello: readonly EventOf<I>[] },
    method: DescMethodBiDiStreaming<I, O>,
    remote: (target: LinkTarget, signal: AbortSignal) => Promise<FrameLink<EventOf<O>, EventOf<I>>>,
  ): (target: LinkTarget, signal: AbortSignal) => Promise<FrameLink<EventOf<O>, EventOf<I>>>;
}

export function createLocalLinks(): LocalLinks {
  const served = new Map<string, Accept>();
  const nameOf = (replica: string, method: DescMethodBiDiStreaming) =>
    `${replica} ${method.parent.typeName}/${method.name}`;
  return {
    serve(replica, method, accept) {
      served.set(nameOf(replica, method), accept as Accept);
    },
    dialler(own, method, remote) {
      type Link = Awaited<ReturnType<typeof remote>>;
      return (target, signal) => {
        const accept = served.get(nameOf(target.id, method));
        if (accept === undefined) return remote(target, signal);
        const pair = createInProcessLinkPair<unknown, unknown>(own.replica, target.id);
        accept(pair.server);
        pair.client.send(own.hello);
        return Promise.resolve(pair.client as Link);
      };
    },
  };
}

# SPDX-License-Identifier: Apache-2.0
"""A small agent that stands on the proto files alone (R29): Python's grpcio, code generated on the fly.

Usage: grpcio_agent.py PROTO_FOLDER HOST:PORT AGENT QUEUE TASKS   (the token comes on standard input)
Prints one JSON object: what it saw. Exits 1 with the status as JSON when the call was refused.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import queue
import sys
import tempfile
from pathlib import Path

import grpc
from grpc_tools import protoc


def generate(proto_folder: str, target: str) -> None:
    files = [
        str(file)
        for package in ("agent", "common")
        for file in sorted(Path(proto_folder, "remex", package, "v1").glob("*.proto"))
    ]
    well_known = os.path.join(os.path.dirname(protoc.__file__), "_proto")
    arguments = ["protoc", f"-I{proto_folder}", f"-I{well_known}", f"--python_out={target}"]
    if protoc.main([*arguments, f"--grpc_python_out={target}", *files]) != 0:
        raise SystemExit("protoc failed")


def main() -> int:
    proto_folder, target, agent, queue_name, tasks = sys.argv[1:6]
    token = sys.stdin.readline().strip()
    with tempfile.TemporaryDirectory() as generated:
        generate(proto_folder, generated)
        sys.path.insert(0, generated)
        session_pb2 = importlib.import_module("remex.agent.v1.session_pb2")
        service_pb2 = importlib.import_module("remex.agent.v1.agent_session_service_pb2")
        service_grpc = importlib.import_module("remex.agent.v1.agent_session_service_pb2_grpc")
        work_pb2 = importlib.import_module("remex.common.v1.work_pb2")
        identity_pb2 = importlib.import_module("remex.common.v1.identity_pb2")
        return run(
            (session_pb2, service_pb2, service_grpc, work_pb2, identity_pb2),
            (target, token, agent, queue_name, int(tasks)),
        )


def run(modules: tuple, options: tuple) -> int:
    pb, service, service_grpc, work, identity = modules
    target, token, agent, queue_name, tasks = options
    empty = hashlib.sha256(b"").digest()
    outgoing: queue.Queue = queue.Queue()
    hello = pb.Hello(
        protocol_min=1,
        protocol_max=1,
        agent=agent,
        instance=os.urandom(16),
        kind=identity.AGENT_KIND_WORKER,
        software_version="contract-test",
        capabilities=pb.Capabilities(queues=[queue_name], slots=2, runtimes=["noop"]),
        inventory=pb.Inventory(digest=empty),
    )
    outgoing.put(service.SessionRequest(events=[pb.AgentEvent(hello=hello)]))
    seen: dict = {"deployment": "", "acknowledgedBeats": 0, "tasks": [], "verdicts": []}
    ended = hashlib.sha256(b"OUTCOME_KIND_SUCCEEDED\nOUTCOME_REASON_UNSPECIFIED\n\n\n\n").digest()
    state: dict = {"session": None, "generation": 0, "sequence": 0, "leaving": False}

    def say(*events: object) -> None:
        frame = service.SessionRequest(generation=state["generation"], events=events)
        frame.session.CopyFrom(state["session"])
        outgoing.put(frame)

    def next_sequence() -> int:
        state["sequence"] += 1
        return state["sequence"]

    def handle(event: object) -> None:
        kind = event.WhichOneof("event")
        if kind == "welcome":
            state["session"], state["generation"] = event.welcome.session, event.welcome.generation
            seen["deployment"] = event.welcome.deployment
            beat = pb.Beat(
                sequence=next_sequence(),
                loop_turns=1,
                runner_state=pb.RUNNER_STATE_READY,
                inventory_digest=empty,
            )
            say(pb.AgentEvent(beat=beat))
        elif kind == "beat_ack":
            seen["acknowledgedBeats"] += 1
        elif kind == "offer":
            offer = event.offer
            accept = pb.Accept(task=offer.task, attempt=offer.attempt, sequence=next_sequence())
            say(pb.AgentEvent(accept=accept))
        elif kind == "confirm":
            confirm = event.confirm
            seen["tasks"].append(confirm.task)
            started = pb.Progress(task=confirm.task, attempt=confirm.attempt, started=pb.Started())
            outcome = work.Outcome(kind=work.OUTCOME_KIND_SUCCEEDED)
            report = pb.Report(task=confirm.task, attempt=confirm.attempt, outcome=outcome, digest=ended)
            say(pb.AgentEvent(progress=started), pb.AgentEvent(report=report))
        elif kind == "report_answer":
            seen["verdicts"].append(pb.ReportVerdict.Name(event.report_answer.verdict))

    with grpc.insecure_channel(target) as channel:
        stub = service_grpc.AgentSessionServiceStub(channel)
        metadata = (("authorization", f"Bearer {token}"),)
        try:
            for frame in stub.Session(iter(outgoing.get, None), metadata=metadata):
                for event in frame.events:
                    handle(event)
                if len(seen["verdicts"]) >= tasks and not state["leaving"]:
                    # The registry ends the stream once it has taken the goodbye.
                    state["leaving"] = True
                    say(pb.AgentEvent(goodbye=pb.Goodbye(empty=True, reason="contract test done")))
                    outgoing.put(None)
        except grpc.RpcError as error:
            print(json.dumps({"code": error.code().name, "message": error.details()}))
            return 1
    print(json.dumps(seen))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

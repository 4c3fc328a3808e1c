#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A task that keeps a journal of its own: one line when it starts, while it runs, and when it ends."""

import json
import os
import sys
import time


def main() -> None:
    folder, seconds = sys.argv[1], float(sys.argv[2])
    task, attempt = os.environ["REMEX_TASK"], os.environ["REMEX_ATTEMPT"]
    # One write of one short line: appends of several copies never mix.
    journal = os.open(os.path.join(folder, f"{task}.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def say(event: str) -> None:
        line = {"task": task, "attempt": attempt, "event": event, "pid": os.getpid()}
        os.write(journal, (json.dumps({**line, "atMs": time.time() * 1000}) + "\n").encode())

    say("start")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.1)
        say("tick")
    say("end")


main()

# SPDX-License-Identifier: Apache-2.0
"""A Celery application, everything at its defaults, whose tasks are those that keep a journal."""

import itertools
import os
import subprocess
import sys

from celery import Celery

app = Celery("celery_tasks", broker=os.environ["PEER_BROKER"])
starts = itertools.count(1)


@app.task(name="run")
def run(task: str, seconds: float) -> None:
    """Runs one task with the name of this attempt in its environment."""
    attempt = {"REMEX_TASK": task, "REMEX_ATTEMPT": f"{os.getpid()}.{next(starts)}"}
    command = ["python3", "-S", "-E", os.environ["PEER_TASK"], os.environ["PEER_JOURNALS"], str(seconds)]
    subprocess.run(command, env={**os.environ, **attempt}, check=True)


if __name__ == "__main__":
    for line in sys.stdin:
        name, duration = line.split()
        run.delay(name, float(duration))
    print("submitted", flush=True)

# SPDX-License-Identifier: Apache-2.0
"""The host name that Airflow records for tasks of an agent: the agent's own name."""

from __future__ import annotations

import os
import socket


def agent_name() -> str:
    """Return the name of the agent that this process works for (Airflow's hostname_callable)."""
    return os.environ.get("REMEX_AGENT_NAME") or socket.gethostname()

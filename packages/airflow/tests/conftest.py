# SPDX-License-Identifier: Apache-2.0
"""Fixtures: agents whose runners are gone when the test is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from .kit.fake_agent import SCRIPTED_RUNNER, FakeAgent

AgentFactory = Callable[..., FakeAgent]
_ROOT = Path(__file__).parent.parent


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Return a state directory that does not exist yet."""
    return tmp_path / "state"


@pytest.fixture
def agents(state_dir: Path) -> Iterator[AgentFactory]:
    """Make agents with a runner each; all share the state directory."""
    made: list[FakeAgent] = []

    def make(command: Sequence[str] = SCRIPTED_RUNNER, *more: str, **env: str) -> FakeAgent:
        agent = FakeAgent(state_dir, [*command, *more], {"PYTHONPATH": os.fspath(_ROOT), **env})
        made.append(agent)
        return agent

    yield make
    for agent in made:
        agent.dispose()


@pytest.fixture
def agent(agents: AgentFactory) -> FakeAgent:
    """Return an agent whose scripted runner is ready and has a lease."""
    ready = agents()
    ready.connect()
    ready.hello()
    ready.ready()
    ready.lease()
    return ready

# SPDX-License-Identifier: Apache-2.0
"""The runner's guard on its real socket, over a scripted runtime."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from remex_airflow.runner.process_tree import descendants
from remex_airflow.runner.state_directory import is_shared, type_of_mount

from .conftest import AgentFactory
from .kit.fake_agent import SCRIPTED_RUNNER, SESSION, FakeAgent, attempt_id
from .kit.polling import eventually
from .kit.processes import living


def command(*argv: str) -> dict[str, object]:
    return {"command": {"argv": list(argv)}}


def shell(script: str) -> dict[str, object]:
    return command("sh", "-c", script)


def open_files(pid: int) -> set[str]:
    folder = Path("/proc") / str(pid) / "fd"
    return {os.fspath(entry.readlink()) for entry in folder.iterdir()}


class TestHello:
    def test_names_runtime_versions_and_contract(self, agents: AgentFactory) -> None:
        agent = agents()
        agent.connect()
        hello = agent.hello()
        assert hello["contract"] == 1
        assert hello["runtimes"] == ["scripted"]
        assert hello["runtimeVersions"] == {"scripted": "1"}
        assert hello["journal"] == []
        assert "error" not in hello

    def test_socket_is_for_the_own_user_alone(self, agents: AgentFactory) -> None:
        agent = agents()
        agent.connect()
        assert stat.S_IMODE((agent.state_dir / "runner.sock").stat().st_mode) == 0o600

    def test_no_common_contract_is_refused_and_the_runner_ends(self, agents: AgentFactory) -> None:
        agent = agents()
        agent.connect()
        assert agent.hello(contract=(2, 3))["error"]["code"] == "contract_version_unsupported"
        assert agent.end() == 0
        assert not (agent.state_dir / "runner.sock").exists()

    def test_an_event_before_hello_ends_the_runner(self, agents: AgentFactory) -> None:
        agent = agents()
        agent.connect()
        agent.lease()
        assert agent.end() == 0

    def test_a_frame_over_the_limit_ends_the_runner(self, agents: AgentFactory) -> None:
        agent = agents()
        agent.connect()
        agent.hello()
        agent.sock.sendall((5 * 1024 * 1024).to_bytes(4, "big"))
        assert agent.end() == 0

    def test_unknown_events_and_fields_are_passed_over(self, agent: FakeAgent) -> None:
        agent.send({"ofTheFuture": {"x": 1}}, {"lease": {"session": SESSION, "remaining": "60s", "new": 1}})
        agent.start("t_a", command("true"))
        assert agent.outcome("t_a")["kind"] == "OUTCOME_KIND_SUCCEEDED"

    def test_a_second_agent_is_refused(self, agent: FakeAgent) -> None:
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as second,
            pytest.raises(ConnectionRefusedError),
        ):
            second.connect(os.fspath(agent.state_dir / "runner.sock"))

    def test_says_that_it_loads_and_when_it_is_ready(self, agents: AgentFactory) -> None:
        agent = agents(SCRIPTED_RUNNER, "--load-s", "0.3")
        agent.connect()
        agent.hello()
        first = agent.wait_for("ready")
        assert (first.get("ready", False), first["note"]) == (False, "loading scripted")
        agent.ready()

    def test_a_runtime_that_cannot_be_loaded_says_why(self, agents: AgentFactory) -> None:
        agent = agents(SCRIPTED_RUNNER, "--load-fails")
        agent.connect()
        agent.hello()
        agent.wait_for("ready", lambda body: "it is broken" in body.get("note", ""))
        agent.lease()
        agent.start("t_a", command("true"))
        assert agent.refused("t_a")["reason"] == "not_ready"


class TestOutcomes:
    def test_success(self, agent: FakeAgent) -> None:
        agent.start("t_a", command("true"))
        started = agent.started("t_a")
        assert started["pid"] > 0
        assert started["logPath"] == "/logs/of/default"
        outcome = agent.outcome("t_a")
        assert outcome["kind"] == "OUTCOME_KIND_SUCCEEDED"
        assert outcome["exitCode"] == 0
        assert outcome["runTime"].endswith("s")

    def test_exit_code(self, agent: FakeAgent) -> None:
        agent.start("t_a", shell("exit 7"))
        outcome = agent.outcome("t_a")
        assert (outcome["kind"], outcome["reason"]) == ("OUTCOME_KIND_FAILED", "OUTCOME_REASON_EXIT_CODE")
        assert outcome["exitCode"] == 7

    def test_signal(self, agent: FakeAgent) -> None:
        agent.start("t_a", shell("kill -SEGV $$"))
        outcome = agent.outcome("t_a")
        assert (outcome["reason"], outcome["signal"]) == ("OUTCOME_REASON_SIGNAL", "SIGSEGV")
        assert "exitCode" not in outcome

    def test_an_error_before_the_task_is_a_runtime_error(self, agent: FakeAgent) -> None:
        agent.start("t_a", command("raise"))
        outcome = agent.outcome("t_a")
        assert outcome["reason"] == "OUTCOME_REASON_RUNTIME_ERROR"
        assert outcome["message"] == "RuntimeError: no such provider"

    def test_h2_duplicate_start_is_neither_success_nor_failure(self, agent: FakeAgent) -> None:
        """PROTOCOL-H2: Airflow's 409 ends the attempt as DUPLICATE_START."""
        agent.start("t_a", command("duplicate"))
        assert agent.outcome("t_a")["kind"] == "OUTCOME_KIND_DUPLICATE_START"

    def test_timeout(self, agent: FakeAgent) -> None:
        agent.start("t_a", command("sleep", "600"), spec={"timeout": "0.2s"})
        outcome = agent.outcome("t_a")
        assert (outcome["kind"], outcome["reason"]) == ("OUTCOME_KIND_FAILED", "OUTCOME_REASON_TIMEOUT")

    def test_many_at_once(self, agent: FakeAgent) -> None:
        for index in range(20):
            agent.start(f"t_{index}", shell(f"exit {index % 2}"))
        kinds = [agent.outcome(f"t_{index}")["kind"] for index in range(20)]
        assert kinds == ["OUTCOME_KIND_SUCCEEDED", "OUTCOME_KIND_FAILED"] * 10


class TestRefusals:
    def test_s4_no_lease(self, agents: AgentFactory) -> None:
        """PROTOCOL-S4: without a lease nothing starts."""
        agent = agents()
        agent.connect()
        agent.hello()
        agent.ready()
        agent.start("t_a", command("true"))
        assert agent.refused("t_a")["reason"] == "no_lease"

    def test_s4_lease_of_another_session(self, agent: FakeAgent) -> None:
        """PROTOCOL-S4: the lease must be of the session that the start was confirmed in."""
        agent.lease(session={"epoch": "1794000000", "number": "8"})
        agent.start("t_a", command("true"))
        assert agent.refused("t_a")["reason"] == "no_lease"

    def test_a_lease_of_an_older_session_changes_nothing(self, agent: FakeAgent) -> None:
        agent.lease(remaining="0s", session={"epoch": "1794000000", "number": "6"})
        agent.start("t_a", command("true"))
        assert agent.outcome("t_a")["kind"] == "OUTCOME_KIND_SUCCEEDED"

    def test_s4_ended_lease(self, agent: FakeAgent) -> None:
        """PROTOCOL-S4: an ended lease starts nothing."""
        agent.lease(remaining="0s")
        agent.start("t_a", command("true"))
        assert agent.refused("t_a")["reason"] == "no_lease"

    def test_s4_window(self, agent: FakeAgent) -> None:
        """PROTOCOL-S4: after the window an attempt is refused and never started."""
        agent.start("t_a", command("true"), window="0s")
        assert agent.refused("t_a")["reason"] == "window_passed"
        assert not any("started" in event for event in agent.events)

    def test_s4_what_came_while_the_runner_loaded_counts_from_before(self, agents: AgentFactory) -> None:
        """PROTOCOL-S4: a window that passed while the loop stood still has passed."""
        agent = agents(SCRIPTED_RUNNER, "--load-s", "0.5")
        agent.connect()
        agent.hello()
        agent.wait_for("ready")
        agent.lease()
        agent.start("t_a", command("true"), window="0.3s")
        assert agent.refused("t_a")["reason"] in ("window_passed", "not_ready")

    def test_s1_a_known_attempt_is_refused(self, agent: FakeAgent) -> None:
        """PROTOCOL-S1: an attempt that was seen, or an older one, never starts again."""
        agent.start("t_a", command("true"), number=2)
        agent.outcome("t_a")
        agent.start("t_a", command("true"), number=1)
        assert agent.refused("t_a")["reason"] == "known_attempt"

    def test_work_of_another_runtime(self, agent: FakeAgent) -> None:
        agent.start("t_a", {"noop": {}})
        assert agent.refused("t_a")["reason"] == "cannot_run"


class TestStops:
    @pytest.mark.parametrize(
        ("reason", "kind", "why"),
        [
            ("CANCELED", "CANCELED", "CANCELED"),
            ("KILLED", "ABORTED", "KILLED"),
            ("DRAINED", "ABORTED", "DRAINED"),
        ],
    )
    def test_reason_decides_the_outcome(self, agent: FakeAgent, reason: str, kind: str, why: str) -> None:
        """PROTOCOL-C4: a stop is followed, and its reason is the outcome."""
        agent.start("t_a", command("sleep", "600"))
        agent.started("t_a")
        agent.stop("t_a", reason)
        outcome = agent.outcome("t_a")
        assert (outcome["kind"], outcome["reason"]) == (f"OUTCOME_KIND_{kind}", f"OUTCOME_REASON_{why}")

    def test_work_that_ignores_term_is_killed(self, agent: FakeAgent) -> None:
        agent.lease(stop_time="0.3s")
        marker = f"stubborn-{os.getpid()}"
        agent.start("t_a", shell(f"trap '' TERM; while :; do sleep 0.1; done # {marker}"))
        eventually("the work runs", lambda: living(marker))
        agent.stop("t_a", "CANCELED")
        assert agent.outcome("t_a")["kind"] == "OUTCOME_KIND_CANCELED"
        assert living(marker) == []

    def test_g1_reaches_processes_of_other_sessions(self, agent: FakeAgent) -> None:
        """PROTOCOL-G1: what made itself a session, and was orphaned, is stopped too."""
        agent.lease(stop_time="0.3s")
        marker = f"runaway-{os.getpid()}"
        agent.start("t_a", shell(f"setsid sh -c 'trap \"\" TERM; sleep 600 # {marker}' & sleep 600"))
        eventually("the runaway runs", lambda: living(marker))
        agent.stop("t_a", "KILLED")
        agent.outcome("t_a")
        assert living(marker) == []

    def test_g1_an_attempt_leaves_nothing_behind(self, agent: FakeAgent) -> None:
        """PROTOCOL-G1: when the attempt ends by itself, its left-over processes end with it."""
        marker = f"leftover-{os.getpid()}"
        agent.start("t_a", shell(f"setsid sh -c 'sleep 600 # {marker}' & exit 0"))
        assert agent.outcome("t_a")["kind"] == "OUTCOME_KIND_SUCCEEDED"
        assert living(marker) == []

    def test_abort_stops_when_the_lease_ends(self, agent: FakeAgent) -> None:
        """PROTOCOL section 6: under ABORT the runner stops the work at the lease's end, by itself."""
        agent.start("t_a", command("sleep", "600"), onCut="ON_CUT_ABORT")
        agent.started("t_a")
        agent.lease(remaining="0.2s")
        outcome = agent.outcome("t_a")
        assert (outcome["kind"], outcome["reason"]) == ("OUTCOME_KIND_ABORTED", "OUTCOME_REASON_LEASE_ENDED")

    def test_t3_a_frame_that_waited_while_the_runner_stood_still_is_counted_from_before(
        self, agent: FakeAgent
    ) -> None:
        """PROTOCOL-T3: process pause counts as elapsed, for what lay in the socket meanwhile too."""
        agent.start("t_a", command("sleep", "600"), onCut="ON_CUT_ABORT")
        agent.started("t_a")
        agent.process.send_signal(signal.SIGSTOP)
        agent.lease(remaining="2s")
        # The pause is what is tested: it has to last longer than the lease.
        time.sleep(3)
        agent.start("t_b", command("true"))
        agent.process.send_signal(signal.SIGCONT)
        assert agent.refused("t_b")["reason"] == "no_lease"
        assert agent.outcome("t_a")["reason"] == "OUTCOME_REASON_LEASE_ENDED"

    def test_r21_continue_goes_on_when_the_lease_ends(self, agent: FakeAgent, tmp_path: Path) -> None:
        """R21: under CONTINUE confirmed work is finished without a lease, and nothing new is started."""
        agent.start("t_a", shell(f"until [ -e {tmp_path}/go ]; do sleep 0.05; done"))
        agent.started("t_a")
        agent.lease(remaining="0s")
        agent.start("t_b", command("true"))
        assert agent.refused("t_b")["reason"] == "no_lease"
        (tmp_path / "go").touch()
        assert agent.outcome("t_a")["kind"] == "OUTCOME_KIND_SUCCEEDED"

    def test_a_killed_leader_takes_its_work_with_it(self, agent: FakeAgent) -> None:
        marker = f"headless-{os.getpid()}"
        agent.start("t_a", shell(f"setsid sh -c 'sleep 600 # {marker}' & sleep 600"))
        pid = agent.started("t_a")["pid"]
        eventually("the work runs", lambda: living(marker))
        os.kill(pid, signal.SIGKILL)
        outcome = agent.outcome("t_a")
        assert (outcome["reason"], outcome["signal"]) == ("OUTCOME_REASON_SIGNAL", "SIGKILL")
        eventually("nothing is left", lambda: not living(marker))


class TestEnd:
    def test_g1_agent_gone_stops_everything_and_journals_it(
        self, agent: FakeAgent, agents: AgentFactory
    ) -> None:
        """PROTOCOL-G1: when the agent's end closes, all work stops and the outcomes are in the journal."""
        marker = f"abandoned-{os.getpid()}"
        agent.start("t_a", shell(f"sleep 600 # {marker}"), onCut="ON_CUT_CONTINUE")
        eventually("the work runs", lambda: living(marker))
        agent.close()
        assert agent.end() == 0
        assert living(marker) == []
        assert not (agent.state_dir / "runner.sock").exists()
        again = agents()
        again.connect()
        (entry,) = again.hello()["journal"]
        assert entry["outcome"]["reason"] == "OUTCOME_REASON_RUNNER_LOST"

    def test_a_start_that_came_with_the_agents_end_is_not_followed(
        self, agent: FakeAgent, tmp_path: Path
    ) -> None:
        agent.process.send_signal(signal.SIGSTOP)
        agent.start("t_a", shell(f"touch {tmp_path}/ran"))
        agent.close()
        agent.process.send_signal(signal.SIGCONT)
        assert agent.end() == 0
        assert not (tmp_path / "ran").exists()
        assert b"t_a" not in (agent.state_dir / "journal.jsonl").read_bytes()

    def test_shutdown(self, agent: FakeAgent) -> None:
        agent.start("t_a", command("sleep", "600"))
        agent.started("t_a")
        agent.send({"shutdown": {}})
        assert agent.outcome("t_a")["reason"] == "OUTCOME_REASON_RUNNER_LOST"
        assert agent.end() == 0

    def test_sigterm(self, agent: FakeAgent) -> None:
        agent.start("t_a", command("sleep", "600"))
        agent.started("t_a")
        agent.process.send_signal(signal.SIGTERM)
        assert agent.outcome("t_a")["kind"] == "OUTCOME_KIND_ABORTED"
        assert agent.end() == 0

    def test_prints_nothing_on_standard_output(self, agent: FakeAgent) -> None:
        agent.start("t_a", command("true"))
        agent.outcome("t_a")
        agent.close()
        agent.end()
        assert agent.process.stdout is not None
        assert agent.process.stdout.read() == b""


class TestKilledRunner:
    def test_g1_leaders_end_their_attempts(self, agent: FakeAgent, agents: AgentFactory) -> None:
        """PROTOCOL-G1: a killed runner's work ends by itself, and the lock falls only then.

        PROTOCOL-G4: the next runner gives each attempt that it finds unfinished up as runner_lost.
        """
        agent.lease(stop_time="1s")
        marker = f"orphaned-{os.getpid()}"
        agent.start("t_a", shell(f"setsid sh -c 'sleep 600 # {marker}' & sleep 600"))
        agent.start("t_b", shell(f"sleep 600 # {marker}"))
        eventually("both run", lambda: len(living(marker)) >= 2)
        agent.process.kill()
        again = agents(SCRIPTED_RUNNER, "--lock-wait-s", "20")
        again.connect()
        assert living(marker) == []
        journal = {entry["task"]: entry for entry in again.hello()["journal"]}
        assert {entry["outcome"]["reason"] for entry in journal.values()} == {"OUTCOME_REASON_RUNNER_LOST"}
        assert journal["t_a"]["attempt"] == attempt_id(1)
        assert journal["t_a"]["session"] == SESSION
        assert journal["t_a"]["spec"] == {"queue": "default"}
        assert journal["t_a"]["idempotencyKey"] == "key-t_a"

    def test_c1_an_outcome_survives_kill(self, agent: FakeAgent, agents: AgentFactory) -> None:
        """PROTOCOL-C1: an outcome that was told is in the journal, whatever happens next."""
        agent.start("t_a", shell("exit 3"))
        agent.start("t_b", shell("exit 4"))
        agent.outcome("t_a")
        agent.outcome("t_b")
        agent.forget("t_b")
        agent.start("t_c", command("true"))
        agent.outcome("t_c")
        agent.process.kill()
        agent.end()
        with (agent.state_dir / "journal.jsonl").open("ab") as journal:
            journal.write(b'{"kind":"end","task":"t_c","atte')
        again = agents()
        again.connect()
        entries = {entry["task"]: entry["outcome"].get("exitCode") for entry in again.hello()["journal"]}
        assert entries == {"t_a": 3, "t_c": 0}

    def test_t6_a_second_runner_is_refused_while_the_first_lives(
        self, agent: FakeAgent, agents: AgentFactory
    ) -> None:
        """PROTOCOL-T6: the state directory belongs to one runner."""
        second = agents(SCRIPTED_RUNNER, "--lock-wait-s", "0.2")
        assert second.end() == 75
        assert "still held" in second.log()

    def test_g1_the_task_process_does_not_hold_the_lock(self, agent: FakeAgent) -> None:
        """PROTOCOL-G1: leaders hold the lock, task processes do not get it."""
        agent.start("t_a", command("fork only"))
        leader = agent.started("t_a")["pid"]
        family = eventually("the task runs", lambda: sorted(descendants(leader))[1:])
        lock = os.fspath(agent.state_dir / "lock")
        assert lock in open_files(leader)
        assert not open_files(family[-1]) & {lock, os.fspath(agent.state_dir / "journal.jsonl")}

    def test_g2_a_task_can_read_its_attempt(self, agent: FakeAgent, tmp_path: Path) -> None:
        """PROTOCOL-G2: REMEX_TASK and REMEX_ATTEMPT name the attempt."""
        out = tmp_path / "out"
        agent.start("t_a", shell(f'echo "$REMEX_TASK $REMEX_ATTEMPT" > {out}'))
        agent.outcome("t_a")
        assert out.read_text() == "t_a 1794000000.1\n"


@pytest.mark.parametrize(
    ("point", "shared"),
    [("/home/x/state", "nfs4"), ("/var/lib/agent", "ext4"), ("/mnt/s3/state", "fuse.s3fs")],
)
def test_g1_a_lock_counts_on_a_local_file_system_alone(point: str, shared: str) -> None:
    """PROTOCOL-G1: a state directory that other hosts may use is refused."""
    mounts = (
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "30 21 0:40 / /home rw - nfs4 s:/h rw\n"
        "31 21 0:41 / /mnt/s3 rw - fuse.s3fs b rw"
    )
    kind = type_of_mount(mounts, Path(point))
    assert kind == shared
    assert is_shared(kind) == (kind != "ext4")


_STARTER = """
import pathlib, subprocess, sys, time
state = sys.argv[1]
command = [sys.executable, "-m", "tests.kit.scripted_runner", "--state-dir", state]
runner = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
while not pathlib.Path(state, "runner.sock").exists():
    time.sleep(0.01)
print(runner.pid)
"""


def test_a_runner_whose_starter_died_before_connecting_ends(state_dir: Path) -> None:
    starter = subprocess.run(
        [sys.executable, "-c", _STARTER, os.fspath(state_dir)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.fspath(Path(__file__).parent.parent)},
        timeout=30,
    )
    runner = Path("/proc") / starter.stdout.strip()
    eventually("the runner ends", lambda: not runner.exists())


def test_the_journal_keeps_no_work_and_no_credentials(agent: FakeAgent) -> None:
    secret = base64.b64encode(b"very secret").decode()
    agent.start("t_a", command("true", secret), spec={"airflow": {"workloadToken": secret}})
    agent.outcome("t_a")
    text = (agent.state_dir / "journal.jsonl").read_text()
    assert secret not in text
    assert json.loads(text.splitlines()[0])["entry"]["spec"] == {"queue": "default"}

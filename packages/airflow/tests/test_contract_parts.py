# SPDX-License-Identifier: Apache-2.0
"""The small parts of the runner contract: frames, proto3 JSON, the lease, the journal's file."""

from __future__ import annotations

from pathlib import Path

import pytest

from remex_airflow.runner.frames import MAX_FRAME_BYTES, FrameDecoder, FrameError, encode_frame
from remex_airflow.runner.journal import AttemptKey, Journal
from remex_airflow.runner.lease import Lease, check_start, renew
from remex_airflow.runner.log import Log
from remex_airflow.runner.proto_json import (
    PairId,
    ProtoJsonError,
    format_duration,
    format_id,
    format_instant,
    parse_duration_s,
    parse_enum,
    parse_events,
    parse_id,
)


class TestFrames:
    def test_any_cut_gives_the_same_messages(self) -> None:
        data = encode_frame({"events": [{"a": "ä" * 9}]}) + encode_frame({}) + encode_frame({"b": 1})
        for size in (1, 3, 7, len(data)):
            decoder = FrameDecoder()
            messages = [m for at in range(0, len(data), size) for m in decoder.feed(data[at : at + size])]
            assert messages == [{"events": [{"a": "ä" * 9}]}, {}, {"b": 1}]

    @pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
    def test_what_is_not_an_object_is_an_error(self, body: bytes) -> None:
        with pytest.raises(FrameError):
            FrameDecoder().feed(len(body).to_bytes(4, "big") + body)

    def test_the_limit_holds_both_ways(self) -> None:
        with pytest.raises(FrameError):
            encode_frame({"x": "y" * MAX_FRAME_BYTES})
        with pytest.raises(FrameError):
            FrameDecoder().feed((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))


class TestProtoJson:
    def test_ids_travel_as_text_and_are_ordered_by_epoch_first(self) -> None:
        big = 2**63
        assert parse_id({"epoch": str(big), "number": 7}, "x") == PairId(big, 7)
        assert format_id(PairId(big, 7)) == {"epoch": str(big), "number": "7"}
        assert PairId(1, 9) < PairId(2, 1)
        for bad in (None, {"epoch": "x"}, "1.7"):
            with pytest.raises(ProtoJsonError):
                parse_id(bad, "x")

    def test_durations(self) -> None:
        assert parse_duration_s("1.500s", "x") == 1.5
        assert format_duration(0.0304) == "0.030s"
        for bad in (None, "1.5", "xs", "nans", 3):
            with pytest.raises(ProtoJsonError):
                parse_duration_s(bad, "x")

    def test_instants_enums_and_events(self) -> None:
        assert format_instant(0) == "1970-01-01T00:00:00.000Z"
        assert parse_enum("ON_CUT_ABORT", "ON_CUT_", {}) == "ABORT"
        assert parse_enum(2, "ON_CUT_", {2: "ABORT"}) == "ABORT"
        assert parse_enum("OTHER", "ON_CUT_", {}) == "UNSPECIFIED"
        assert parse_events({}) == []
        with pytest.raises(ProtoJsonError):
            parse_events({"events": [1]})


class TestLease:
    SESSION = PairId(1, 7)

    def check(self, lease: Lease | None, now_s: float = 10) -> str | None:
        refusal = check_start(lease, self.SESSION, 20, now_s)
        return refusal.reason if refusal else None

    def test_s4_table(self) -> None:
        """PROTOCOL-S4: a start needs its window, and a valid lease of its own session."""
        lease = Lease(self.SESSION, 15, 6)
        assert self.check(lease) is None
        assert self.check(lease, 15) == "no_lease"
        assert self.check(lease, 20) == "window_passed"
        assert self.check(None) == "no_lease"
        assert self.check(Lease(PairId(1, 6), 15, 6)) == "no_lease"

    def test_l1_a_renewal_of_an_older_session_is_dropped(self) -> None:
        """PROTOCOL-L1: an older session renews nothing."""
        lease = Lease(PairId(1, 7), 15, 6)
        assert renew(lease, PairId(1, 6), 100, 6, 10) == lease
        assert renew(lease, PairId(2, 1), 5, 6, 10) == Lease(PairId(2, 1), 15, 6)


class TestJournal:
    KEY = AttemptKey("t", PairId(1, 2))

    def test_c1_survives_what_a_crash_leaves(self, tmp_path: Path) -> None:
        """PROTOCOL-C1: a torn last line costs nothing that was told."""
        path = tmp_path / "journal.jsonl"
        journal = Journal(path, Log("error"))
        journal.started(self.KEY, {"task": "t"})
        journal.ended(self.KEY, {"kind": "OUTCOME_KIND_SUCCEEDED"})
        journal.sync()
        with path.open("ab") as file:
            file.write(b'not json\n{"kind":"forget","task":"t"')
        again = Journal(path, Log("error"))
        assert again.entries[self.KEY]["outcome"]["kind"] == "OUTCOME_KIND_SUCCEEDED"

    def test_what_is_forgotten_does_not_come_back(self, tmp_path: Path) -> None:
        path = tmp_path / "journal.jsonl"
        journal = Journal(path, Log("error"))
        journal.started(self.KEY, {})
        journal.ended(self.KEY, {})
        journal.forget(self.KEY)
        journal.close()
        assert Journal(path, Log("error")).entries == {}

    def test_it_does_not_grow_for_ever(self, tmp_path: Path) -> None:
        path = tmp_path / "journal.jsonl"
        journal = Journal(path, Log("error"))
        for number in range(3_000):
            key = AttemptKey("t", PairId(1, number))
            journal.started(key, {"task": "t" * 100})
            journal.forget(key)
        assert path.stat().st_size < 500_000

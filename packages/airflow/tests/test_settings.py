# SPDX-License-Identifier: Apache-2.0
"""Section [remex]: defaults, and every problem at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from remex_airflow.provider import get_provider_info
from remex_airflow.settings import Settings, SettingsError, load_settings

_GOOD = {"url": "https://remex.example/", "deployment": "d", "key": "rmk_x"}


class Source:
    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    def get(self, section: str, key: str, *, fallback: str) -> str | None:
        assert section == "remex"
        return self._values.get(key, fallback)


def load(**values: str) -> Settings:
    return load_settings(Source({**_GOOD, **values}))


def test_defaults_are_the_documented_ones() -> None:
    documented = get_provider_info()["config"]["remex"]["options"]
    settings = load()
    assert settings.url == "https://remex.example"
    assert settings.request_timeout_s == float(documented["request_timeout"]["default"])
    assert settings.submit_batch_size == int(documented["submit_batch_size"]["default"])
    assert settings.missing_grace_s == float(documented["missing_grace"]["default"])
    assert settings.adoption_wait_s == float(documented["adoption_wait"]["default"])
    assert settings.on_lost == "ON_LOST_" + documented["on_lost"]["default"].upper()


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load(
            url="ftp://x", deployment=" ", key="", request_timeout="0", submit_batch_size="1001", on_lost="?"
        )
    text = str(caught.value)
    for name in ("url", "deployment", "key_file", "request_timeout", "submit_batch_size", "on_lost"):
        assert name in text


def test_a_key_file_that_is_not_there_is_a_problem() -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(key_file="/nowhere/key")


def test_sec_g1_the_key_is_not_shown(tmp_path: Path) -> None:
    """SEC-G1: secrets do not leak by their representation."""
    assert "rmk_x" not in repr(load())


def test_the_key_file_is_read_when_it_is_used(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("one\n")
    settings = load(key_file=str(file))
    file.write_text("two\n")
    assert settings.key.read() == "two"

# SPDX-License-Identifier: Apache-2.0
"""The settings of section [remex], checked all at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

SECTION = "remex"
ON_LOST = {"fail": "ON_LOST_FAIL", "requeue": "ON_LOST_REQUEUE"}


class SettingsError(Exception):
    """Section [remex] cannot be used; the message names every problem and its setting."""


class Source(Protocol):
    """Where settings come from: Airflow's configuration, of a team where there are teams."""

    def get(self, section: str, key: str, *, fallback: str) -> str | None:
        """Return a setting's text."""


@dataclass(frozen=True)
class Key:
    """The operator key, from a file that is read when it is used."""

    file: str
    value: str

    def read(self) -> str:
        """Return the key; raises SettingsError when the file cannot be read."""
        if not self.file:
            return self.value
        try:
            return Path(self.file).read_text().strip()
        except OSError as error:
            raise SettingsError(f"[remex] key_file {self.file} cannot be read: {error.strerror}") from error

    def __repr__(self) -> str:
        return f"Key(file={self.file!r}, value=[secret])"


@dataclass(frozen=True)
class Settings:
    """What RemexExecutor needs to know."""

    url: str
    deployment: str
    key: Key
    request_timeout_s: float = 10.0
    submit_batch_size: int = 200
    on_lost: str = ON_LOST["fail"]
    missing_grace_s: float = 180.0
    adoption_wait_s: float = 2.0
    ca_file: str = ""


def load_settings(source: Source) -> Settings:
    """Read and check the section; raises SettingsError with all problems."""
    problems: list[str] = []
    reader = _Reader(source, problems)
    settings = Settings(
        url=reader.url(),
        deployment=reader.required("deployment", "the slug of the Remex deployment"),
        key=reader.key(),
        request_timeout_s=reader.number("request_timeout", 10.0, 0.1, 300),
        submit_batch_size=int(reader.number("submit_batch_size", 200, 1, 1000)),
        on_lost=reader.on_lost(),
        missing_grace_s=reader.number("missing_grace", 180.0, 0, 86_400),
        adoption_wait_s=reader.number("adoption_wait", 2.0, 0, 30),
        ca_file=reader.text("ca_file"),
    )
    if problems:
        raise SettingsError("the settings of section [remex] cannot be used: " + "; ".join(problems))
    return settings


class _Reader:
    """Reads settings and gathers what is wrong with them."""

    def __init__(self, source: Source, problems: list[str]) -> None:
        self._source = source
        self._problems = problems

    def text(self, key: str) -> str:
        return str(self._source.get(SECTION, key, fallback="") or "").strip()

    def required(self, key: str, what: str) -> str:
        value = self.text(key)
        if not value:
            self._problems.append(f"{key} is not set: {what} (AIRFLOW__REMEX__{key.upper()})")
        return value

    def url(self) -> str:
        url = self.required("url", "the address of the Remex gateway")
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.netloc):
            self._problems.append(f"url {url!r} is not an http or https address")
        return url.rstrip("/")

    def key(self) -> Key:
        key = Key(self.text("key_file"), self.text("key"))
        if not key.file and not key.value:
            self._problems.append("neither key_file nor key is set: an operator key of role submitter")
        elif key.file:
            try:
                key.read()
            except SettingsError as error:
                self._problems.append(str(error).removeprefix("[remex] "))
        return key

    def number(self, key: str, default: float, low: float, high: float) -> float:
        text = self.text(key)
        if not text:
            return default
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            self._problems.append(f"{key} is {text!r}, not a number from {low:g} to {high:g}")
            return default
        return value

    def on_lost(self) -> str:
        text = self.text("on_lost").lower() or "fail"
        if text not in ON_LOST:
            self._problems.append(f"on_lost is {text!r}, not one of fail, requeue")
        return ON_LOST.get(text, ON_LOST["fail"])

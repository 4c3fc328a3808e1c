# SPDX-License-Identifier: Apache-2.0
"""Calls of the Remex gateway: Connect over HTTP, unary, with JSON bodies."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from ..settings import Settings, SettingsError

Message = dict[str, Any]

# Nothing was decided about the call itself; the same call may succeed later, and every call here is safe to repeat.
_RETRYABLE = frozenset(
    {"unavailable", "deadline_exceeded", "aborted", "unknown", "internal", "resource_exhausted"}
)
_HTTP_CODES = {401: "unauthenticated", 403: "permission_denied", 404: "unimplemented", 429: "unavailable"}
_END_OF_STREAM = 0x02


@dataclass
class GatewayError(Exception):
    """A call that was not answered with a result."""

    code: str
    """Connect's code in lower case, "unavailable" for everything that hinders the exchange itself."""
    message: str
    reason: str = ""
    """The stable name of the failure (ErrorDetail.code). Empty where there is none."""

    @property
    def retryable(self) -> bool:
        """Return whether the same call may succeed later."""
        return self.code in _RETRYABLE

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" + (f" ({self.reason})" if self.reason else "")


class Gateway:
    """A client of one deployment; safe to use from several threads."""

    def __init__(self, settings: Settings, transport: httpx.BaseTransport | None = None) -> None:
        self._settings = settings
        self._key_lock = threading.Lock()
        self._key = ""
        self._http = httpx.Client(
            base_url=settings.url,
            verify=_verify(settings.ca_file),
            timeout=httpx.Timeout(settings.request_timeout_s),
            limits=httpx.Limits(max_connections=8),
            headers={"Connect-Protocol-Version": "1", "User-Agent": "remex-airflow"},
            transport=transport,
        )

    @property
    def settings(self) -> Settings:
        """The settings that it was made with."""
        return self._settings

    def call(
        self, method: str, request: Message, extra_wait_s: float = 0.0, deployment: bool = True
    ) -> Message:
        """Call `package.Service/Method`; raises GatewayError. The deployment is filled in, unless told not to."""
        timeout = httpx.Timeout(
            self._settings.request_timeout_s, read=self._settings.request_timeout_s + extra_wait_s
        )
        body = {"deployment": self._settings.deployment, **request} if deployment else request
        try:
            return self._post(method, body, timeout)
        except GatewayError as error:
            if error.code != "unauthenticated" or not self._reread_key():
                raise
            return self._post(method, body, timeout)

    def stream(self, method: str, request: Message, within_s: float) -> Iterator[Message]:
        """Call a method that streams its answers, for at most `within_s` between two of them."""
        body = json.dumps({"deployment": self._settings.deployment, **request}).encode()
        headers = {**self._authorization(), "Content-Type": "application/connect+json"}
        content = b"\0" + len(body).to_bytes(4, "big") + body
        try:
            with self._http.stream(
                "POST", f"/{method}", content=content, headers=headers, timeout=within_s
            ) as response:
                if response.status_code != 200:
                    raise _error_of(response.status_code, response.read())
                yield from _envelopes(response.iter_bytes())
        except httpx.HTTPError as error:
            raise GatewayError("unavailable", _describe(error)) from error

    def close(self) -> None:
        """Close the connections; calls under way fail."""
        self._http.close()

    def _post(self, method: str, body: Message, timeout: httpx.Timeout) -> Message:
        try:
            response = self._http.post(
                f"/{method}", json=body, headers=self._authorization(), timeout=timeout
            )
        except (httpx.HTTPError, RuntimeError) as error:
            # RuntimeError: the client was closed meanwhile, at the executor's end.
            raise GatewayError("unavailable", _describe(error)) from error
        if response.status_code != 200:
            raise _error_of(response.status_code, response.content)
        try:
            answer = response.json()
        except ValueError as error:
            raise GatewayError(
                "unavailable", "the answer is not JSON: is this address a Remex gateway?"
            ) from error
        if not isinstance(answer, dict):
            raise GatewayError("unavailable", "the answer is not an object: is this address a Remex gateway?")
        return answer

    def _authorization(self) -> dict[str, str]:
        with self._key_lock:
            if not self._key:
                self._key = self._read_key()
            return {"Authorization": f"Bearer {self._key}"}

    def _reread_key(self) -> bool:
        """Read the key again; True when it is another one."""
        with self._key_lock:
            before, self._key = self._key, self._read_key()
            return self._key != before

    def _read_key(self) -> str:
        try:
            return self._settings.key.read()
        except SettingsError as error:
            raise GatewayError("unauthenticated", str(error), "key_unreadable") from error


def _verify(ca_file: str) -> Any:
    if not ca_file:
        return True
    import ssl

    return ssl.create_default_context(cafile=ca_file)


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _error_of(status: int, body: bytes) -> GatewayError:
    """Read Connect's error body; anything else comes from something that is no gateway, or in front of it."""
    try:
        error = json.loads(body)
        code = str(error["code"])
    except (ValueError, KeyError, TypeError):
        code = _HTTP_CODES.get(status, "unavailable")
        return GatewayError(code, f"the answer is HTTP {status} without an error of Remex in it")
    return _gateway_error(code, error)


def _gateway_error(code: str, error: Message) -> GatewayError:
    reason = ""
    for detail in error.get("details") or []:
        debug = detail.get("debug") if isinstance(detail, dict) else None
        if isinstance(debug, dict) and debug.get("code"):
            reason = str(debug["code"])
    return GatewayError(code, str(error.get("message", "")), reason)


def _envelopes(chunks: Iterator[bytes]) -> Iterator[Message]:
    """Cut a Connect stream into messages; its last envelope may hold an error."""
    buffer = b""
    for chunk in chunks:
        buffer += chunk
        while len(buffer) >= 5 and len(buffer) >= (end := 5 + int.from_bytes(buffer[1:5], "big")):
            flags, body, buffer = buffer[0], buffer[5:end], buffer[end:]
            try:
                message = json.loads(body or b"{}")
            except ValueError as error:
                raise GatewayError("unavailable", "a part of the answer is not JSON") from error
            if flags & _END_OF_STREAM:
                if message.get("error"):
                    raise _gateway_error(str(message["error"].get("code", "unknown")), message["error"])
                return
            yield message


def decode_bytes(value: Any) -> bytes:
    """Read a bytes field; what is not base64 is empty."""
    with contextlib.suppress(ValueError, TypeError):
        return base64.b64decode(value or "")
    return b""

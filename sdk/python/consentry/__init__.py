"""Ask the user of a Consentry app for data. Standard library only.

    import consentry
    answer = consentry.request(
        [{"type": "contacts", "fields": ["name", "email", "phone?"], "max": 20}],
        purpose="to invite people to your party")
    for person in answer.items[0].records: ...
    answer.items[0].withheld  # what was not given

A call waits while the user decides. Nothing is given without a yes, and a yes
may give less than was asked for. What there is to ask for is in docs/data.md.
"""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Iterable, Mapping, Optional
from urllib.parse import quote

__all__ = ["Again", "Answer", "Denied", "Error", "Given", "Invalid", "give_back", "grants", "kinds", "open_file", "request", "user"]

_HOST, _PORT = "10.0.2.2", 9999
_PROBLEMS = "https://consentry.dev/problems/"


class Error(Exception):
    """Nothing was given. code is the end of the problem's type, such as "denied"."""

    def __init__(self, code: str, detail: str):
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail


class Denied(Error):
    """The user said no, or nobody is asked."""


class Again(Error):
    """There is no answer yet: the same call may be made again later."""


class Invalid(Error):
    """The request itself is wrong."""


_CLASSES = {
    "denied": Denied, "blocked": Denied, "undeclared": Denied,
    "timeout": Again, "busy": Again, "unavailable": Again,
    "invalid": Invalid, "unknown-kind": Invalid, "not-found": Invalid,
}


@dataclass(frozen=True)
class Given:
    """What was given of one item."""

    type: str
    status: str  # "granted", "partial", or the code of an Error
    grant: Optional[str] = None
    values: Mapping[str, Any] = field(default_factory=dict)
    records: list = field(default_factory=list)
    withheld: list = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """What the user gave: something at least."""

    status: str  # "granted" or "partial"
    items: list


def request(items: Iterable[Mapping[str, Any]], purpose: str, wait: Optional[float] = None, retain: bool = False) -> Answer:
    """Asks the user. wait is in seconds; None is as long as the user may take."""
    body = {"items": list(items), "purpose": purpose}
    if retain:
        body["retain"] = "run"
    got = _json("POST", "/v1/requests", body, wait)
    return Answer(got["status"], [Given(**item) for item in got["items"]])


def user(name: str, purpose: str) -> Any:
    """One field of the kind identity."""
    return request([{"type": "identity", "fields": [name]}], purpose).items[0].values[name]


def kinds() -> list:
    """What there is to ask for. Asks the user nothing."""
    return _json("GET", "/v1/kinds")["kinds"]


def grants() -> list:
    """What this run was given."""
    return _json("GET", "/v1/grants")["grants"]


def give_back(grant: str) -> None:
    """Ends a grant."""
    _send("DELETE", "/v1/grants/" + quote(grant, safe="")).close()


def open_file(handle: str) -> BinaryIO:
    """Reads a file that the user picked: "content" of a record of type "files"."""
    return _send("GET", "/v1/files/" + quote(handle, safe=""))


def _json(method: str, path: str, body: Any = None, wait: Optional[float] = None) -> Any:
    with _send(method, path, body, wait) as answer:
        return json.load(answer)


def _send(method: str, path: str, body: Any = None, wait: Optional[float] = None):
    connection = http.client.HTTPConnection(_HOST, _PORT, timeout=wait)
    headers = {"Consentry-Request": "1", "Connection": "close"}
    if body is not None:
        body, headers["Content-Type"] = json.dumps(body), "application/json"
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
    except socket.timeout:
        connection.close()
        raise Again("timeout", "no answer in the time that was given") from None
    except OSError as e:
        connection.close()
        raise Error("unreachable", f"the data API does not answer; does this program run under Consentry? {e}") from e
    if answer.status < 300:
        return answer
    with answer:
        problem = json.load(answer)
    code = problem["type"].removeprefix(_PROBLEMS)
    raise _CLASSES.get(code, Error)(code, problem.get("detail", ""))

"""The documents of all resources, in SQLite: what was acknowledged is there again after ``kill -9``."""

from __future__ import annotations

import json
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Document = dict[str, Any]
# Named here because Store.list hides the type inside the class.
Documents = list[Document]
NamedDocuments = list[tuple[str, str, Document]]


class Store:
    """Documents by kind, region and name; reads come from memory, writes are committed before they return.

    SQLite runs in WAL mode with ``synchronous=NORMAL``: a commit survives the death of the process at any moment (not
    that of the machine), and costs a write instead of an fsync. Documents are plain JSON values plus datetimes.

    Args:
        path: The database file; made when missing.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS documents (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, region TEXT NOT NULL,"
            " name TEXT NOT NULL, document TEXT NOT NULL, UNIQUE (kind, region, name))"
        )
        self._documents: dict[tuple[str, str], dict[str, Document]] = {}
        rows = self._connection.execute("SELECT kind, region, name, document FROM documents ORDER BY id")
        for kind, region, name, text in rows:
            self._documents.setdefault((kind, region), {})[name] = _decode(text)

    def insert(self, kind: str, region: str, name: str, document: Document) -> None:
        """Add a document.

        Raises:
            KeyError: The name is taken.
        """
        with self._lock:
            if name in self._documents.get((kind, region), {}):
                raise KeyError(name)
            self._write(kind, region, name, document)

    def put(self, kind: str, region: str, name: str, document: Document) -> None:
        """Add or replace a document."""
        with self._lock:
            self._write(kind, region, name, document)

    def get(self, kind: str, region: str, name: str) -> Document | None:
        """Return a copy of a document, or None when there is none."""
        with self._lock:
            document = self._documents.get((kind, region), {}).get(name)
            return None if document is None else _copy(document)

    def delete(self, kind: str, region: str, name: str) -> bool:
        """Remove a document; returns whether it was there."""
        with self._lock:
            if name not in self._documents.get((kind, region), {}):
                return False
            self._connection.execute(
                "DELETE FROM documents WHERE kind = ? AND region = ? AND name = ?", (kind, region, name)
            )
            del self._documents[kind, region][name]
            return True

    def list(self, kind: str, region: str) -> Documents:
        """Return copies of all documents of a kind in a region, oldest first."""
        with self._lock:
            return [_copy(document) for document in self._documents.get((kind, region), {}).values()]

    def all(self, kind: str) -> NamedDocuments:
        """Return (region, name, copy of the document) of a kind in every region."""
        with self._lock:
            return [
                (region, name, _copy(document))
                for (its_kind, region), documents in self._documents.items()
                if its_kind == kind
                for name, document in documents.items()
            ]

    def close(self) -> None:
        """Close the database; the store is unusable afterwards."""
        with self._lock:
            self._connection.close()

    def _write(self, kind: str, region: str, name: str, document: Document) -> None:
        self._connection.execute(
            "INSERT INTO documents (kind, region, name, document) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (kind, region, name) DO UPDATE SET document = excluded.document",
            (kind, region, name, _encode(document)),
        )
        self._documents.setdefault((kind, region), {})[name] = _copy(document)


_TIME_KEY = "$datetime"


def _encode(document: Document) -> str:
    return json.dumps(document, default=_encode_datetime, separators=(",", ":"))


def _encode_datetime(value: object) -> dict[str, str]:
    if isinstance(value, datetime):
        return {_TIME_KEY: value.isoformat()}
    raise TypeError(f"A stored document holds a {type(value).__name__}: {value!r}; only JSON values and datetimes fit")


def _decode(text: str) -> Document:
    document: Document = json.loads(text, object_hook=_decode_datetime)
    return document


def _decode_datetime(value: dict[str, Any]) -> Any:
    if len(value) == 1 and _TIME_KEY in value:
        return datetime.fromisoformat(value[_TIME_KEY]).astimezone(UTC)
    return value


def _copy(value: Any) -> Any:
    # copy.deepcopy keeps a memo of every object; documents are trees, and this is several times faster.
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(item) for item in value]
    return value

from datetime import UTC, datetime

import pytest

from sagemaker_emulator.store import Store


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.sqlite"


def test_what_was_written_is_there_for_the_next_store(path):
    document = {"Name": "a", "CreationTime": datetime(2026, 1, 2, 3, 4, 5, 678000, UTC), "List": [{"Number": 1.5}]}
    first = Store(path)
    first.insert("model", "us-east-1", "a", document)
    first.put("model", "eu-west-1", "a", {"Name": "other"})
    # Opened beside the first, which is never closed: as after a kill.
    second = Store(path)
    assert second.get("model", "us-east-1", "a") == document
    assert second.all("model") == [("us-east-1", "a", document), ("eu-west-1", "a", {"Name": "other"})]
    assert second.delete("model", "us-east-1", "a")
    assert Store(path).get("model", "us-east-1", "a") is None
    first.close()
    second.close()


def test_a_taken_name_is_refused_and_nothing_changes(path):
    store = Store(path)
    store.insert("model", "us-east-1", "a", {"Number": 1})
    with pytest.raises(KeyError):
        store.insert("model", "us-east-1", "a", {"Number": 2})
    assert store.list("model", "us-east-1") == [{"Number": 1}]


def test_documents_are_copies_both_ways(path):
    store = Store(path)
    document = {"Nested": {"List": [1]}}
    store.put("model", "us-east-1", "a", document)
    document["Nested"]["List"].append(2)
    read = store.get("model", "us-east-1", "a")
    read["Nested"]["List"].append(3)
    assert store.get("model", "us-east-1", "a") == {"Nested": {"List": [1]}}


def test_replacing_keeps_the_place_in_the_list(path):
    store = Store(path)
    for name in ("first", "second"):
        store.insert("model", "us-east-1", name, {"Name": name})
    store.put("model", "us-east-1", "first", {"Name": "first", "Changed": True})
    assert [item["Name"] for item in Store(path).list("model", "us-east-1")] == ["first", "second"]


def test_what_cannot_be_stored_is_named_and_not_kept(path):
    store = Store(path)
    with pytest.raises(TypeError, match="holds a set"):
        store.put("model", "us-east-1", "a", {"Bad": {1}})
    assert store.get("model", "us-east-1", "a") is None


def test_deleting_a_missing_document_says_so(path):
    assert Store(path).delete("model", "us-east-1", "a") is False

"""The media store: the same promises in memory, in a folder, and in buckets of two stand-ins for S3."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from chalicelib.aws.media import S3Media
from chalicelib.errors import TryAgain
from chalicelib.folder import FolderMedia
from chalicelib.ports import File, MediaStore
from tests.contract.conftest import endpoint_of
from tests.contract.shelves import sdk
from tests.twins.media import TwinMediaStore

VOICE = File(b"OggS", "audio/ogg")
_numbers = count(1)


@pytest.fixture(params=["twin", "folder", "moto", "stand-in"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MediaStore]:
    if request.param == "twin":
        yield TwinMediaStore()
    elif request.param == "folder":
        yield FolderMedia(tmp_path / "media")
    else:
        s3 = sdk("s3", endpoint_of(request, request.param))
        bucket = f"contract-{next(_numbers)}"
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
        yield S3Media(s3, None, bucket)


def test_a_file_is_had_as_it_was_kept(store: MediaStore) -> None:
    for file in (VOICE, File(b"", "text/plain"), File(bytes(range(256)) * 300, "image/png")):
        store.put("ref/a", file)
        assert store.get("ref/a") == file


def test_a_file_that_is_not_there_is_none(store: MediaStore) -> None:
    store.put("ref/a", VOICE)
    assert store.get("ref/b") is None
    assert store.get("ref") is None


def test_keeping_twice_keeps_the_newer(store: MediaStore) -> None:
    store.put("ref/a", VOICE)
    store.put("ref/a", File(b"new", "text/plain"))
    assert store.get("ref/a") == File(b"new", "text/plain")
    assert list(store.keys("ref/")) == ["ref/a"]


def test_keys_are_those_of_one_conversation_in_order(store: MediaStore) -> None:
    for key in ("ref-1/b", "ref-1/a.json", "ref-1/a", "ref-10/a", "ref-2/a"):
        store.put(key, VOICE)
    assert list(store.keys("ref-1/")) == ["ref-1/a", "ref-1/a.json", "ref-1/b"]
    assert list(store.keys("nobody/")) == []


def test_more_keys_than_one_request_tells_are_listed_and_erased(store: MediaStore) -> None:
    named = [f"ref/{number:04d}" for number in range(1_003)]
    for key in named:
        store.put(key, VOICE)
    assert list(store.keys("ref/")) == named
    store.erase(named)
    assert list(store.keys("ref/")) == []


def test_what_is_erased_is_gone_and_erasing_it_again_is_no_error(store: MediaStore) -> None:
    store.put("ref/a", VOICE)
    store.put("ref/b", VOICE)
    for _ in range(2):
        store.erase(["ref/a"])
    assert store.get("ref/a") is None
    assert store.get("ref/b") == VOICE
    store.erase([])


def test_a_bucket_that_is_not_there_is_asked_again_later(moto: None) -> None:
    store = S3Media(sdk("s3", None), None, "no-such-bucket")
    for ask in (lambda: store.put("a", VOICE), lambda: store.get("a"), lambda: list(store.keys("a"))):
        with pytest.raises(TryAgain):
            ask()

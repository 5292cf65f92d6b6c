"""The media bucket: people's files in S3, encrypted and kept for a time that the template sets."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.aws.clients import code_of, translated
from chalicelib.config import bucket_name
from chalicelib.errors import TryAgain
from chalicelib.ports import File

#: DeleteObjects takes at most this many keys. Source: S3 API reference.
_BATCH = 1_000


class S3Media:
    """Files in one bucket; see `ports.MediaStore`."""

    def __init__(self, s3: Any, sts: Any, bucket: str | None) -> None:
        self._s3 = s3
        self._sts = sts
        self._named = bucket

    def put(self, key: str, file: File) -> None:
        with _translated():
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=file.content, ContentType=file.content_type)

    def get(self, key: str) -> File | None:
        try:
            with _translated():
                found = self._s3.get_object(Bucket=self._bucket, Key=key)
                return File(found["Body"].read(), found.get("ContentType") or "")
        except KeyError:
            return None

    def keys(self, prefix: str) -> Iterable[str]:
        request: dict[str, Any] = {"Bucket": self._bucket, "Prefix": prefix}
        while True:
            with _translated():
                response = self._s3.list_objects_v2(**request)
            yield from (each["Key"] for each in response.get("Contents", []))
            if not response.get("IsTruncated"):
                return
            request["ContinuationToken"] = response["NextContinuationToken"]

    def erase(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), _BATCH):
            named = [{"Key": key} for key in keys[start : start + _BATCH]]
            with _translated():
                response = self._s3.delete_objects(Bucket=self._bucket, Delete={"Objects": named, "Quiet": True})
            if response.get("Errors"):
                raise TryAgain("not every file could be erased")

    @cached_property
    def _bucket(self) -> str:
        """A bucket's name is one of its kind in the world, so the template's ends in the number of the account."""
        if self._named:
            return self._named
        with _translated():
            return bucket_name(str(self._sts.get_caller_identity()["Account"]))


@contextmanager
def _translated() -> Iterator[None]:
    """A store that refuses keeps nobody from being answered: it may work once somebody has mended it.

    Raises KeyError where there is no such file, TryAgain for everything else.
    """
    try:
        with translated():
            yield
    except ClientError as error:
        if code_of(error) in ("NoSuchKey", "404"):
            raise KeyError from None
        raise TryAgain(f"the media store refuses: {code_of(error)}") from None

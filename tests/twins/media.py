"""Files in memory: where they are kept, where they come from, and somebody who listens to them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from chalicelib.errors import RelayError, TryAgain
from chalicelib.model import Media
from chalicelib.ports import File, Secret


@dataclass
class TwinMediaStore:
    """The port `MediaStore`; `is_down` makes it refuse."""

    files: dict[str, File] = field(default_factory=dict)
    is_down: bool = False

    def put(self, key: str, file: File) -> None:
        self._demand_up()
        self.files[key] = file

    def get(self, key: str) -> File | None:
        self._demand_up()
        return self.files.get(key)

    def keys(self, prefix: str) -> Iterable[str]:
        self._demand_up()
        return sorted(key for key in self.files if key.startswith(prefix))

    def erase(self, keys: Sequence[str]) -> None:
        self._demand_up()
        for key in keys:
            self.files.pop(key, None)

    def _demand_up(self) -> None:
        if self.is_down:
            raise TryAgain("the media store is down")


@dataclass
class TwinMediaSource:
    """What the provider keeps, by URL; what it does not know it never had, and `fails` comes first."""

    files: dict[str, File] = field(default_factory=dict)
    fails: list[RelayError] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    secrets: list[Sequence[Secret]] = field(default_factory=list)

    def fetch(self, media: Media, secrets: Sequence[Secret], *, seconds: float) -> File:
        self.asked.append(media.url)
        self.secrets.append(secrets)
        if self.fails:
            raise self.fails.pop(0)
        return self.files.get(media.url) or File(media.url.encode(), media.content_type)


@dataclass
class TwinTranscriber:
    """Hears what a recording is called, unless it fails."""

    fails: list[RelayError] = field(default_factory=list)
    heard: list[File] = field(default_factory=list)

    def transcribe(self, file: File, secrets: Sequence[Secret], *, model: str | None, seconds: float) -> str:
        self.heard.append(file)
        if self.fails:
            raise self.fails.pop(0)
        return f"heard {file.content.decode('utf-8', 'replace')}"

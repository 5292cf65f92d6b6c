"""A folder as media store, for a laptop: nothing of it is on AWS, and the files can be looked at."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chalicelib.ports import File

#: Beside each file lies its MIME type, in a file of the same name with this ending.
_TYPE = ".type"


@dataclass(frozen=True, slots=True)
class FolderMedia:
    """Files below one folder; see `ports.MediaStore`."""

    folder: Path

    def put(self, key: str, file: File) -> None:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(_type_of(path), file.content_type.encode())
        _write(path, file.content)

    def get(self, key: str) -> File | None:
        path = self.folder / key
        try:
            return File(path.read_bytes(), _type_of(path).read_text())
        except (FileNotFoundError, IsADirectoryError):
            return None

    def keys(self, prefix: str) -> Iterable[str]:
        files = (each for each in self.folder.rglob("*") if each.is_file() and each.suffix not in (_TYPE, _PART))
        found = (each.relative_to(self.folder).as_posix() for each in files)
        return sorted(key for key in found if key.startswith(prefix))

    def erase(self, keys: Sequence[str]) -> None:
        for key in keys:
            path = self.folder / key
            path.unlink(missing_ok=True)
            _type_of(path).unlink(missing_ok=True)


#: A file that is being written.
_PART = ".part"


def _write(path: Path, content: bytes) -> None:
    """Whoever reads at the same time finds the whole file or none."""
    part = path.with_name(path.name + _PART)
    part.write_bytes(content)
    part.replace(path)


def _type_of(path: Path) -> Path:
    return path.with_name(path.name + _TYPE)

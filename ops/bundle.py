"""The zip that Lambda runs: what Chalice would pack, without what no function of ours loads, and compiled.

Chalice asks for its package by a name that tells its content; one that is there already is taken as it is. So the
package is built here first, and `chalice deploy` and `chalice package` find it.
"""

import fnmatch
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from chalice.deploy.packager import LambdaDeploymentPackager
from chalice.utils import OSUtils

PROJECT = Path(__file__).resolve().parent.parent
CACHE = PROJECT / "build" / "dependencies"

#: What the wheels bring and no function of ours loads. docs/decisions tells what it saves.
LEFT_OUT: Mapping[str, str] = {
    "aiohttp*": "for Twilio's asynchronous client, which nobody imports",
    "aiosignal*": "of aiohttp",
    "aiohappyeyeballs*": "of aiohttp",
    "attr": "of aiohttp",
    "attrs*": "of aiohttp",
    "frozenlist*": "of aiohttp",
    "multidict*": "of aiohttp",
    "propcache*": "of aiohttp",
    "yarl*": "of aiohttp",
    "twilio/rest/*/": "Twilio's products, except those in KEPT",
    "botocore/data/*/": "descriptions of AWS's services, except those in KEPT",
    "aws_lambda_powertools/event_handler/": "another framework for routes",
    "pycparser*": "builds cffi's modules, which come built",
    "bin": "commands",
    "*.pyi": "for type checkers",
}

#: Exceptions from LEFT_OUT.
KEPT = frozenset(
    {
        "twilio/rest/api/",
        "twilio/rest/messaging/",
        "botocore/data/dynamodb/",
        "botocore/data/secretsmanager/",
        "botocore/data/sqs/",
    }
)

#: The C libraries of Lambda's images: Amazon Linux 2 up to Python 3.11, then Amazon Linux 2023. Source: AWS Lambda
#: Developer Guide, "Lambda runtimes", and the two systems' release notes.
GLIBC = {(3, 11): 26}
GLIBC_OF_LATER = 34
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}

READABLE_BY_ALL = 0o100755  # Lambda runs functions as a user of its own

Version = tuple[int, int]
RUNNING: Version = sys.version_info[:2]


class BundleError(Exception):
    """The package cannot be built; the message says why."""


def build(stage: str, project: Path = PROJECT, cache: Path = CACHE) -> Path:
    """The package of a stage for the Python that runs, ready where Chalice looks for it.

    Raises BundleError when the dependencies cannot be had for Lambda's platform.
    """
    forget_bytecode(project)
    machine = architecture(stage, project)
    names = LambdaDeploymentPackager(OSUtils(), None, None, machine)
    package = Path(names.deployment_package_filename(str(project), f"python{_dotted(RUNNING)}"))
    pack(package, project, dependencies(project / "requirements.txt", RUNNING, machine, cache), RUNNING)
    return package


def pack(package: Path, project: Path, packed_dependencies: Path, version: Version) -> None:
    """Writes the zip: the dependencies as they are packed already, and the files of the application."""
    package.parent.mkdir(parents=True, exist_ok=True)
    growing = package.with_suffix(".new")
    shutil.copyfile(packed_dependencies, growing)
    with TemporaryDirectory() as tree:
        for source, name in LambdaDeploymentPackager(OSUtils(), None, None)._iter_app_filenames(str(project)):
            Path(tree, name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, Path(tree, name))
        compile_all(Path(tree), version)
        _zip(Path(tree), growing, "a")
    growing.rename(package)


def dependencies(requirements: Path, version: Version, machine: str, cache: Path = CACHE) -> Path:
    """The zip of what is required; the same requirements and rules bring the same zip, kept until they change."""
    rules = json.dumps([dict(LEFT_OUT), sorted(KEPT), version, machine]).encode()
    key = hashlib.sha256(requirements.read_bytes() + rules).hexdigest()[:12]
    ready = cache / f"python{_dotted(version)}-{machine}-{key}.zip"
    if not ready.exists():
        ready.parent.mkdir(parents=True, exist_ok=True)
        growing = ready.with_suffix(".new")
        with TemporaryDirectory() as tree:
            _install(requirements, version, machine, Path(tree))
            cut_down(Path(tree))
            compile_all(Path(tree), version)
            _zip(Path(tree), growing, "w")
        growing.rename(ready)
    return ready


def chalice(*arguments: str, project: Path = PROJECT) -> "subprocess.CompletedProcess[str]":
    """Runs Chalice on the files as they are in the repository."""
    forget_bytecode(project)
    command = [sys.executable, "-c", "import sys; from chalice.cli import main; sys.exit(main())", *arguments]
    return _run(command, cwd=project, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})


def forget_bytecode(project: Path) -> None:
    """Chalice would pack these files, and name its package after them; this process writes no more of them."""
    sys.dont_write_bytecode = True
    for found in (project / "chalicelib").rglob("__pycache__"):
        shutil.rmtree(found)


def architecture(stage: str, project: Path = PROJECT) -> str:
    config: dict[str, Any] = json.loads((project / ".chalice" / "config.json").read_text())
    own = config["stages"].get(stage, {})
    return str(own.get("lambda_architecture", config.get("lambda_architecture", "x86_64")))


def cut_down(tree: Path) -> None:
    """Removes what LEFT_OUT names from an unpacked tree of packages."""
    for path in sorted(left_out(tree)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def compile_all(tree: Path, version: Version) -> None:
    """Compiles every module beside its source. Lambda's disk is read-only: without this, each cold start compiles.

    The compiled file is not to be compared with its source again: what is packed together belongs together.
    """
    python = interpreter(version)
    if python is None:
        raise BundleError(f"there is no python{_dotted(version)} to compile for")
    options = ["-q", "-q", "--invalidation-mode", "unchecked-hash", "-s", str(tree), str(tree)]
    _run([python, "-m", "compileall", *options])  # what is written for another Python is left uncompiled
    if next(tree.rglob("*.pyc"), None) is None:
        raise BundleError(f"{python} compiles nothing")


def interpreter(version: Version) -> str | None:
    """The command of that Python on this machine, if it has one that works."""
    if version == RUNNING:
        return sys.executable
    found = (Path(folder, f"python{_dotted(version)}") for folder in os.get_exec_path())
    return next((str(each) for each in found if os.access(each, os.X_OK) and _is(each, version)), None)


def _is(python: Path, version: Version) -> bool:
    return _run([str(python), "-c", "import sys; print(*sys.version_info[:2])"]).stdout.split() == [*map(str, version)]


def _install(requirements: Path, version: Version, machine: str, tree: Path) -> None:
    platforms = [word for name in _platforms(version, machine) for word in ("--platform", name)]
    wanted = ["--target", str(tree), "--implementation", "cp", "--python-version", _dotted(version), *platforms]
    options = ["--quiet", "--disable-pip-version-check", "--no-compile", "--only-binary", ":all:"]
    done = _run([sys.executable, "-m", "pip", "install", *options, *wanted, "--requirement", str(requirements)])
    if done.returncode:
        raise BundleError(f"no packages for Python {_dotted(version)} on {machine}:\n{done.stderr}")


def _platforms(version: Version, machine: str) -> Iterator[str]:
    for minor in range(GLIBC.get(version, GLIBC_OF_LATER), 16, -1):
        yield f"manylinux_2_{minor}_{MACHINES[machine]}"
    yield f"manylinux2014_{MACHINES[machine]}"


def left_out(tree: Path) -> Iterator[Path]:
    """What of an unpacked tree is named by LEFT_OUT."""
    for path in tree.rglob("*"):
        name = path.relative_to(tree).as_posix() + ("/" if path.is_dir() else "")
        if path.name != "__pycache__" and name not in KEPT and any(_matches(name, pattern) for pattern in LEFT_OUT):
            yield path


def _matches(name: str, pattern: str) -> bool:
    """`*.x` means any such file; otherwise a pattern names a place, as deep as its own slashes say."""
    if pattern.startswith("*."):
        return fnmatch.fnmatch(name, pattern)
    as_deep = name.rstrip("/").count("/") == pattern.rstrip("/").count("/")
    return as_deep and fnmatch.fnmatch(name if pattern.endswith("/") else name.rstrip("/"), pattern)


def _zip(tree: Path, target: Path, mode: Any) -> None:
    """The same files make the same bytes, so that Lambda can tell what has changed: without times, in order."""
    with ZipFile(target, mode, ZIP_DEFLATED) as packed:
        for path in sorted(tree.rglob("*")):
            if path.is_file():
                entry = ZipInfo(path.relative_to(tree).as_posix())
                entry.external_attr = READABLE_BY_ALL << 16
                packed.writestr(entry, path.read_bytes(), ZIP_DEFLATED)


def _run(command: Sequence[str], **options: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, text=True, check=False, capture_output=True, **options)  # noqa: S603  # ours


def _dotted(version: Version) -> str:
    return f"{version[0]}.{version[1]}"

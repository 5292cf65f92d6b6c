"""What a cold start costs: instructions from an empty process to an imported application, and to its first clients.

Counted with valgrind's cachegrind, because counts hold on every machine; wall time is the median of some runs here.
Run `python -m bench.cold_start`. It needs valgrind; the zip is built as for a deployment, for this machine.
"""

import argparse
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from ops import bundle

ROOT = Path(__file__).resolve().parent.parent
RUNS = 7

#: A Chalice application with nothing of its own, and the two clients of the webhook's three calls.
BARE = "import boto3\nfrom chalice import Chalice\napp = Chalice(app_name='bare')"
BARE_CLIENTS = f"{BARE}\n[boto3.client(name, region_name='eu-west-2') for name in ('dynamodb', 'sqs')]"
OURS_CLIENTS = "import app\nrelay = app.relay()\nrelay.conversations, relay.queues"

#: What each Lambda has loaded when its first event has been handled.
PROGRAMS = {
    "nothing": "pass",
    "bare: import": BARE,
    "bare: import and clients": BARE_CLIENTS,
    "ours: import": "import app",
    "webhook: import and clients": OURS_CLIENTS,
    "reply processor: and openai": f"{OURS_CLIENTS}\nrelay.history, relay.tenants, relay.secrets\nimport openai\n"
    "openai.OpenAI(api_key='x').responses",
    "sender: and twilio": f"{OURS_CLIENTS}\nrelay.history, relay.tenants, relay.secrets, relay.references\n"
    "import twilio.rest\ntwilio.rest.Client('AC0', 'x').messages",
}


def main() -> int:
    """Prints a line for each program: million instructions and milliseconds. Returns 0; 2 without valgrind."""
    parser = argparse.ArgumentParser(prog="python -m bench.cold_start", description=__doc__)
    parser.add_argument("--without-compiled", action="store_true", help="as Chalice packs: every start compiles")
    arguments = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("cold_start: valgrind is not installed", file=sys.stderr)
        return 2
    with TemporaryDirectory() as tree:
        unpack(Path(tree))
        if arguments.without_compiled:
            forget_compiled(Path(tree))
        for line in measured(Path(tree)):
            print(line, flush=True)
    return 0


def unpack(tree: Path) -> None:
    machine = "arm64" if platform.machine() == "aarch64" else "x86_64"
    package = tree / "package.zip"
    bundle.pack(package, ROOT, bundle.dependencies(ROOT / "requirements.txt", bundle.RUNNING, machine), bundle.RUNNING)
    with ZipFile(package) as packed:
        packed.extractall(tree)
    size = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file() and path != package)
    print(f"zip {package.stat().st_size / 1e6:.1f} MB, unpacked {size / 1e6:.1f} MB")
    package.unlink()


def forget_compiled(tree: Path) -> None:
    for folder in list(tree.rglob("__pycache__")):
        shutil.rmtree(folder)


def measured(tree: Path) -> Iterator[str]:
    for name, program in PROGRAMS.items():
        yield f"{name:30} {instructions(tree, program) / 1e6:7.0f} M   {milliseconds(tree, program):6.0f} ms"


def instructions(tree: Path, program: str) -> int:
    tool = ["valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={os.devnull}"]
    said = subprocess.run([*tool, *_python(tree, program)], capture_output=True, text=True, check=True).stderr
    found = re.search(r"I +refs: +([\d,]+)", said)
    assert found, said
    return int(found[1].replace(",", ""))


def milliseconds(tree: Path, program: str) -> float:
    def run() -> float:
        began = time.perf_counter()
        subprocess.run(_python(tree, program), check=True)
        return 1000 * (time.perf_counter() - began)

    return statistics.median(run() for _ in range(RUNS))


def _python(tree: Path, program: str) -> list[str]:
    """Python with its standard library and the package, and nothing else."""
    plain = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    return [str(plain), "-I", "-S", "-B", "-c", f"import sys; sys.path.insert(0, {str(tree)!r})\n{program}"]


if __name__ == "__main__":
    sys.exit(main())

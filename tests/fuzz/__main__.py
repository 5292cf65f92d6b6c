"""`python -m tests.fuzz form|context|status --seconds N`: bytes that atheris grows by the code that they reach."""

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads"
NAMES = ("form", "context", "status")
LONGEST = 4096  # bytes of one input

_MISSING = """atheris cannot be imported with this Python: it needs a wheel of its own for it, or clang to build one.
Install it with: pip install -r requirements-fuzz.txt
The same targets run with Hypothesis in the tests: python -m pytest tests/fuzz"""


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when nothing was found, 1 with the input when something was, 2 where atheris is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("--seconds", type=int, default=60, help="(default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(default %(default)s)")
    parser.add_argument("--fuzzing", action="store_true", help=argparse.SUPPRESS)
    parsed, more = parser.parse_known_args(arguments)
    if importlib.util.find_spec("atheris") is None:
        print(_MISSING, file=sys.stderr)
        return 2
    return _fuzz(parsed.target, more) if parsed.fuzzing else _told(parsed.target, parsed.seconds, parsed.seed)


def _fuzz(name: str, options: Sequence[str]) -> int:
    """In a process of its own, because libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["chalicelib"]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()
    return 0


def _told(name: str, seconds: int, seed: int) -> int:
    with tempfile.TemporaryDirectory(prefix="ai-multi-comms-fuzz-") as place:
        corpus, words = Path(place) / "corpus", Path(place) / "words"
        corpus.mkdir()
        for number, data in enumerate(seeds(name)):
            (corpus / f"{number}").write_bytes(data)
        words.write_text("\n".join(f'"{word}"' for word in _words()))
        found = Path(tempfile.gettempdir()) / f"ai-multi-comms-fuzz-{name}-"
        options = (
            f"-max_total_time={seconds}",
            f"-max_len={LONGEST}",
            f"-seed={seed}",
            f"-dict={words}",
            f"-artifact_prefix={found}",
            "-timeout=10",
            "-print_final_stats=1",
        )
        command = [sys.executable, "-m", "tests.fuzz", name, "--fuzzing", *options, str(corpus)]
        run = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if run.returncode:
        print(run.stdout[-4000:], run.stderr[-4000:], sep="\n", file=sys.stderr)
        return 1
    print(f"{name}: {_figures(run.stderr)}; nothing was found")
    return 0


def _figures(text: str) -> str:
    stats = dict(re.findall(r"stat::(\w+):\s+(\d+)", text))
    reached = re.findall(r"cov: (\d+)", text)[-1]
    return (
        f"{int(stats['number_of_executed_units']):,} executions, {int(stats['average_exec_per_sec']):,} a second,"
        f" {reached} edges reached"
    )


def seeds(name: str) -> Iterator[bytes]:
    """What a target begins with: captured payloads, each also over a good form, and whole context objects."""
    forms = [path.read_bytes() for path in sorted(PAYLOADS.glob("*.form"))]
    if name == "context":
        yield json.dumps(_CONTEXT).encode()
        return
    line = b"\n" if name == "status" else b""
    for each in forms:
        yield line + each
        yield line + b"&" + each
    if name == "status":
        yield b"abc\n&MessageStatus=failed"


def _words() -> list[str]:
    """Names of parameters and of fields, for libFuzzer to put together."""
    forms = b"&".join(path.read_bytes() for path in PAYLOADS.glob("*.form")).decode()
    names = {pair.partition("=")[0] for pair in forms.split("&")}
    fields = {name for section in _CONTEXT.values() for name in section} | _CONTEXT.keys()
    return sorted(name for name in names | fields if name.isidentifier())


_CONTEXT = {
    "meta": {"request_id": "r", "channel_type": "whatsapp", "timestamp": "t", "version": "1.0"},
    "conversation": {
        "conversation_id": "company-1#project-1#req-1#447700900101",
        "primary_channel": "+447700900101",
        "conversation_status": "user_reply_received",
        "hand_off_to_human": False,
        "thread_id": None,
    },
    "message": {"from": "+447700900101", "to": "+447700900001", "body": "b", "message_id": "m", "timestamp": "t"},
    "company": {"company_id": "c", "project_id": "p", "company_name": "n", "credentials_reference": None},
    "processing": {"validation_status": "valid", "ai_response": None, "processing_timestamps": {"received": "t"}},
}


if __name__ == "__main__":
    sys.exit(main())

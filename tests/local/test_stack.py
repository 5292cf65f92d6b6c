"""The supervisor: ports, what children are told, how they become ready, and how they end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from local import stack
from local.feed import Feed
from local.serving import HOST
from local.stack import Child, Options, PortTaken, StackFailed, Urls, choose_ports, end_all, environment

Start = Callable[..., Child]
FOREVER = "import time; time.sleep(60)"


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def start(tmp_path: Path, feed: Feed) -> Iterator[Start]:
    """Starts a child that runs a few lines of Python; all are gone afterwards."""
    children: list[Child] = []

    def start(program: str, source: str | None = None) -> Child:
        command = [sys.executable, "-u", "-c", program]
        child = Child(f"piece{len(children)}", command, os.environ, logs=tmp_path, feed=feed, source=source)
        children.append(child)
        return child

    yield start
    end_all(children, 0)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(taken: int) -> None:
    with pytest.raises(PortTaken, match=f"phone: port {taken} on 127.0.0.1 is taken"):
        choose_ports({"phone": taken})


def test_the_usual_port_gives_way_when_it_is_taken_and_says_so(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stack.DEFAULT_PORTS, "phone", taken)
    chosen, notices = choose_ports({"phone": None})
    assert chosen["phone"] != taken
    assert notices == [f"phone: port {taken} is taken, using {chosen['phone']}"]


def test_port_zero_takes_any_free_one_without_a_word() -> None:
    chosen, notices = choose_ports(dict.fromkeys(stack.DEFAULT_PORTS, 0))
    assert len(set(chosen.values())) == len(stack.DEFAULT_PORTS)
    assert notices == []


def test_the_command_ends_with_2_when_a_port_is_taken(taken: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert stack.main(["--port-phone", str(taken)]) == 2
    assert capsys.readouterr().err == f"up: phone: port {taken} on 127.0.0.1 is taken\n"


def test_the_environment_points_everything_at_the_stack() -> None:
    urls = Urls.at({"phone": 1, "app": 2, "aws": 3, "twilio": 4, "openai": 5})
    variables = environment(urls, burst_seconds=0.5)
    assert variables["PUBLIC_BASE_URL"] == "http://127.0.0.1:2"
    assert variables["AWS_ENDPOINT_URL"] == "http://127.0.0.1:3"
    assert variables["TWILIO_API_BASE_URL"] == "http://127.0.0.1:4"
    assert variables["OPENAI_BASE_URL"] == "http://127.0.0.1:5/v1"
    assert variables["BURST_IDLE_SECONDS"] == "0.5"


def test_with_the_real_openai_its_address_is_left_alone() -> None:
    assert "OPENAI_BASE_URL" not in environment(real_openai=True)


def test_a_child_knows_nothing_of_the_persons_own_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_SQS", "OPENAI_API_KEY", "TWILIO_AUTH_TOKEN"):
        monkeypatch.setenv(name, "mine")
    assert "mine" not in stack.child_environment(environment()).values()


def test_a_child_is_ready_when_it_says_so(start: Start) -> None:
    child = start(f"print('starting'); print('ready piece http://127.0.0.1:1'); {FOREVER}")
    child.wait_until_ready(10)
    child.check()


def test_a_child_that_dies_is_reported_with_its_last_words(start: Start) -> None:
    child = start("print('what went wrong'); raise SystemExit(3)")
    with pytest.raises(StackFailed, match=r"(?s)piece0 ended by itself, exit code 3.*what went wrong"):
        child.wait_until_ready(10)


def test_of_a_talkative_child_only_the_last_lines_are_repeated(start: Start) -> None:
    child = start("[print(f'line {n}.') for n in range(100)]; raise SystemExit(1)")
    with pytest.raises(StackFailed) as failure:
        child.wait_until_done(10)
    assert "line 99." in str(failure.value)
    assert "line 80." in str(failure.value)
    assert "line 79." not in str(failure.value)


def test_a_child_that_never_becomes_ready_is_a_failure(start: Start) -> None:
    with pytest.raises(StackFailed, match=r"piece0 was not ready within 0\.1 s"):
        start(FOREVER).wait_until_ready(0.1)


def test_log_lines_go_to_the_feed_and_the_rest_to_a_file(start: Start, feed: Feed, tmp_path: Path) -> None:
    program = """print('{"level": "INFO", "action": "message_recorded"}'); print('127.0.0.1 GET /health')"""
    start(program, source="app").wait_until_done(10)
    assert [(event["source"], event["action"]) for event in feed.since(0)] == [("app", "message_recorded")]
    assert (tmp_path / "piece0.log").read_text() == "127.0.0.1 GET /health\n"


def test_a_killed_child_has_no_time_to_do_anything_else(start: Start, tmp_path: Path) -> None:
    child = start("import time, atexit; atexit.register(print, 'bye'); print('ready x'); time.sleep(60)")
    child.wait_until_ready()
    child.kill()
    assert (tmp_path / "piece0.log").read_text() == "ready x\n"


def test_a_child_that_has_ended_by_itself_cannot_be_killed_unnoticed(start: Start) -> None:
    child = start("raise SystemExit(3)")
    with suppress(StackFailed):
        child.wait_until_done()
    with pytest.raises(StackFailed, match="ended by itself"):
        child.kill()


def test_a_child_that_will_not_end_is_ended_by_force(start: Start) -> None:
    stubborn = start(
        f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready stubborn'); {FOREVER}"
    )
    stubborn.wait_until_ready(10)
    began = time.monotonic()
    end_all([stubborn], 0.2)
    assert time.monotonic() - began < 5
    with pytest.raises(StackFailed, match="SIGKILL"):
        stubborn.check()


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.2, 0.6])
def test_an_end_by_signal_during_the_start_leaves_nothing_behind(tmp_path: Path, delay: float) -> None:
    ports = [argument for name in stack.DEFAULT_PORTS for argument in (f"--port-{name}", "0")]
    program = f"import sys; from local.stack import main; sys.exit(main({ports!r}))"
    command = [sys.executable, "-u", "-c", program]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "STACK_TEST": str(tmp_path)}
    with subprocess.Popen(command, cwd=stack.PROJECT, env=environment, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        assert "starting" in supervisor.stdout.readline()
        time.sleep(delay)
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(20) == 0
        assert supervisor.stdout.read().endswith("stopped\n")
    assert _processes_that_know(str(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def _processes_that_know(mark: str) -> list[int]:
    """The processes that were started with this in their environment; none where there is no /proc to look into."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"STACK_TEST={mark}".encode() in environ.read_bytes():
                found.append(int(environ.parent.name))
    return found


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A process that was started in the background may have been told to ignore this signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_signal_that_comes_while_a_child_is_started_waits_until_it_is_known() -> None:
    known = []

    def start() -> None:
        with stack._deferring_signals():
            signal.raise_signal(signal.SIGINT)
            known.append("child")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert known == ["child"]


def test_options_of_the_command_are_understood() -> None:
    options = stack._options(["--port-app", "0", "--burst-seconds", "2", "--verbose"])
    assert options.ports() == {"phone": None, "app": 0, "aws": None, "twilio": None, "openai": None}
    assert (options.burst_seconds, options.burst_max_seconds, options.verbose) == (2.0, 30.0, True)
    assert Options().ports() == dict.fromkeys(stack.DEFAULT_PORTS)

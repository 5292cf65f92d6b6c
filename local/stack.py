"""Everything on one laptop with one command: the application, its stand-ins, and the phone in the browser.

The pieces are child processes of one supervisor. They are started in the order in which they need each other, and
when one of them dies, all of them end.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local import demo_company
from local.feed import Feed, TwilioFollower, log_event
from local.phone.server import Company, create_app
from local.seed import Cast, seed
from local.serving import HOST, running

STAGE = "local"
REGION = "eu-west-2"
APPLICATION = "ai-multi-comms"
OPENAI_URL = "https://api.openai.com/v1"
PROJECT = Path(__file__).resolve().parent.parent

DEFAULT_PORTS = {"phone": 8080, "app": 8000, "aws": 4566, "twilio": 4567, "openai": 4568}
BURST_SECONDS = 6.0
BURST_MAX_SECONDS = 30.0
READY_SECONDS = 90.0
GRACE_SECONDS = 5.0  # between asking a child to end and ending it
LAST_LINES = 20

FAILED = 1  # exit code
PORT_TAKEN = 2  # exit code

CHALICE = ("-c", "import sys; from chalice.cli import main; sys.exit(main())")
#: Settings of the person's own AWS and OpenAI accounts, which must not reach a child.
FOREIGN_PREFIXES = ("AWS_", "OPENAI_", "TWILIO_")


class PortTaken(Exception):
    """Somebody else listens on a port that was asked for."""


class StackFailed(Exception):
    """A piece of the stack did not start, or ended by itself; the message says which and what it said last."""


# What is wanted, and where it is


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the stack shall run. A port is a number, 0 for any free one, or None for the usual or else a free one."""

    phone_port: int | None = None
    app_port: int | None = None
    aws_port: int | None = None
    twilio_port: int | None = None
    openai_port: int | None = None
    burst_seconds: float = BURST_SECONDS
    burst_max_seconds: float = BURST_MAX_SECONDS
    verbose: bool = False
    openai_api_key: str | None = None  # with a key the real OpenAI answers
    announce: bool = False  # tell a person on the terminal how far it has come

    def ports(self) -> dict[str, int | None]:
        return {name: getattr(self, f"{name}_port") for name in DEFAULT_PORTS}


@dataclass(frozen=True)
class Urls:
    """Base URLs of the pieces, without a slash at the end; OpenAI's ends in /v1."""

    phone: str
    app: str
    aws: str
    twilio: str
    openai: str

    @classmethod
    def at(cls, ports: Mapping[str, int]) -> Self:
        """Everything on this machine, at these ports."""
        urls = {name: f"http://{HOST}:{ports[name]}" for name in DEFAULT_PORTS}
        return cls(**{**urls, "openai": f"{urls['openai']}/v1"})


@dataclass(frozen=True)
class Stack:
    """A running stack."""

    urls: Urls
    feed: Feed
    environment: dict[str, str]
    logs: Path
    _children: "list[Child]"

    @property
    def phone_url(self) -> str:
        return self.urls.phone

    @property
    def app_url(self) -> str:
        return self.urls.app

    @property
    def aws_url(self) -> str:
        return self.urls.aws

    @property
    def twilio_url(self) -> str:
        return self.urls.twilio

    @property
    def openai_url(self) -> str:
        return self.urls.openai

    def check(self) -> None:
        """Raises StackFailed when a child has ended."""
        for child in self._children:
            child.check()

    def watch(self, pause_seconds: float = 0.2) -> None:
        """Returns never; raises StackFailed as soon as a child has ended."""
        while True:
            self.check()
            time.sleep(pause_seconds)


def environment(
    urls: Urls | None = None,
    *,
    burst_seconds: float = BURST_SECONDS,
    burst_max_seconds: float = BURST_MAX_SECONDS,
    real_openai: bool = False,
    media_folder: Path | None = None,
) -> dict[str, str]:
    """The variables that point the application, the SDKs and the operator's commands at a local stack.

    Without `urls` at the usual ports. With `real_openai` the SDK's own default stays. People's files lie in
    `media_folder`, or else in the bucket of the stand-in for AWS.
    """
    urls = urls or Urls.at(DEFAULT_PORTS)
    variables = {
        "STAGE": STAGE,
        "AWS_ENDPOINT_URL": urls.aws,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PUBLIC_BASE_URL": urls.app,
        "TWILIO_API_BASE_URL": urls.twilio,
        "OPENAI_BASE_URL": urls.openai,
        "TOOLS_ON_LOOPBACK": "1",
        "BURST_IDLE_SECONDS": f"{burst_seconds:g}",
        "BURST_MAX_SECONDS": f"{burst_max_seconds:g}",
        "CONVERSATIONS_TABLE": f"{APPLICATION}-conversations-{STAGE}",
        "MESSAGES_TABLE": f"{APPLICATION}-messages-{STAGE}",
        "TENANTS_TABLE": f"{APPLICATION}-tenants-{STAGE}",
        "POWERTOOLS_SERVICE_NAME": APPLICATION,
        "NO_PROXY": ",".join(filter(None, (os.environ.get("NO_PROXY"), HOST, "localhost"))),
    }
    if media_folder is not None:
        variables["MEDIA_FOLDER"] = str(media_folder)
    if real_openai:
        del variables["OPENAI_BASE_URL"]
    return variables


def choose_ports(wanted: Mapping[str, int | None]) -> tuple[dict[str, int], list[str]]:
    """A port for each name, and a sentence for each that is not the usual one. Raises PortTaken for one asked for."""
    chosen: dict[str, int] = {}
    notices: list[str] = []
    for name, port in wanted.items():
        usual = DEFAULT_PORTS[name]
        if port and not _is_free(port):
            raise PortTaken(f"{name}: port {port} on {HOST} is taken")
        chosen[name] = port or _free_port(usual if port is None else 0, chosen.values())
        if port is None and chosen[name] != usual:
            notices.append(f"{name}: port {usual} is taken, using {chosen[name]}")
    return chosen, notices


def _is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def _free_port(preferred: int, others: Iterable[int]) -> int:
    """The preferred port if nobody has it, otherwise any."""
    if preferred and preferred not in others and _is_free(preferred):
        return preferred
    while True:
        with socket.create_server((HOST, 0)) as listener:
            port: int = listener.getsockname()[1]
        if port not in others:
            return port


# Child processes


class Child:
    """One process of the stack: what it prints is kept, told to the feed or written to a file, and its end is seen.

    `source` names the feed's source of its JSON log lines; without it, all lines go to the file.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        logs: Path,
        feed: Feed | None = None,
        source: str | None = None,
        verbose: bool = False,
        directory: Path = PROJECT,
    ) -> None:
        self.name = name
        self._feed, self._source, self._verbose = feed, source, verbose
        self._said: deque[str] = deque(maxlen=LAST_LINES)
        self._ready = threading.Event()
        self._log = (logs / f"{name}.log").open("a", encoding="utf-8")
        self._process = subprocess.Popen(
            command,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # Ctrl-C in the terminal is for the supervisor alone
        )
        self._reader = threading.Thread(target=self._read, name=f"output of {name}", daemon=True)
        self._reader.start()

    def check(self) -> None:
        """Raises StackFailed with its last lines when the process has ended."""
        code = self._process.poll()
        if code is not None:
            self._reader.join(GRACE_SECONDS)
            raise StackFailed(f"{self.name} ended by itself, {_meaning(code)}.{self._last_words()}")

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Returns when it has printed its ready line; raises StackFailed when it ends, or takes too long."""
        until = time.monotonic() + seconds
        while not self._ready.wait(0.05):
            self.check()
            if time.monotonic() > until:
                raise StackFailed(f"{self.name} was not ready within {seconds:g} s.{self._last_words()}")

    def wait_until_answering(self, url: str, seconds: float = READY_SECONDS) -> None:
        """The same for one without a ready line: returns when `url` answers 200."""
        until = time.monotonic() + seconds
        while not _answers(url):
            self.check()
            if time.monotonic() > until:
                raise StackFailed(f"{self.name} did not answer at {url} within {seconds:g} s.{self._last_words()}")
            time.sleep(0.1)

    def wait_until_done(self, seconds: float = READY_SECONDS) -> None:
        """For one that ends by itself; raises StackFailed when it failed, or takes too long."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise StackFailed(f"{self.name} took more than {seconds:g} s.{self._last_words()}") from None
        self._reader.join(GRACE_SECONDS)
        if code:
            raise StackFailed(f"{self.name} failed, {_meaning(code)}.{self._last_words()}")

    def ask_to_end(self) -> None:
        """Sends SIGTERM to the process, if it still runs."""
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """Ends it as a power cut would, whatever it is doing; raises StackFailed when it has ended by itself."""
        self.check()
        self.end(until=time.monotonic())

    def end(self, until: float) -> None:
        """Waits for the end until that moment of the monotonic clock, then ends it and whatever it started."""
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._reader.join(GRACE_SECONDS)
        self._log.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._take(line.rstrip("\n"))

    def _take(self, line: str) -> None:
        self._said.append(line)
        event = log_event(self._source, line) if self._source else None
        if event is None or self._feed is None:
            self._keep(line)
        else:
            self._feed.publish(event)
            if self._verbose:
                print(f"{self.name:7} {line}", flush=True)
        if line.startswith("ready "):
            self._ready.set()

    def _keep(self, line: str) -> None:
        self._log.write(line + "\n")
        self._log.flush()

    def _last_words(self) -> str:
        if not self._said:
            return " It said nothing."
        return "\nIts last lines:\n" + "\n".join(f"  {line}" for line in self._said)


def _meaning(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"by signal {signal.Signals(-code).name}"


def _answers(url: str) -> bool:
    try:
        with _DIRECT.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def end_all(children: Sequence[Child], grace_seconds: float = GRACE_SECONDS) -> None:
    """Ends the children, the last started first; those that don't end within the grace are ended by force."""
    for child in reversed(children):
        child.ask_to_end()
    until = time.monotonic() + grace_seconds
    for child in reversed(children):
        child.end(until)


# The whole


@contextmanager
def running_stack(options: Options | None = None) -> Iterator[Stack]:
    """A whole stack for as long as the block runs; ready when it is entered, gone when it is left.

    Raises PortTaken, and StackFailed with the directory of its logs, which is then kept.
    """
    options = options or Options()
    ports, notices = choose_ports(options.ports())
    supervisor = _Supervisor(options, Urls.at(ports), Path(tempfile.mkdtemp(prefix=f"{APPLICATION}-")))
    for notice in notices:
        supervisor.say(notice)
    try:
        with supervisor.started(ports["phone"]) as stack:
            yield stack
    except StackFailed as failure:
        raise StackFailed(f"{failure}\nAll output is in {supervisor.logs}.") from failure
    except BaseException:
        _forget(supervisor.logs)
        raise
    _forget(supervisor.logs)


class _Supervisor:
    """Starts the pieces in order and ends them together."""

    def __init__(self, options: Options, urls: Urls, logs: Path) -> None:
        self._options = options
        self._urls = urls if not options.openai_api_key else replace(urls, openai=OPENAI_URL)
        self._feed = Feed()
        self._stand_ins: list[Child] = []
        self._application: list[Child] = []
        self._tasks: list[Child] = []
        self.logs = logs
        self.environment = environment(
            urls,
            burst_seconds=options.burst_seconds,
            burst_max_seconds=options.burst_max_seconds,
            real_openai=bool(options.openai_api_key),
            media_folder=logs / "media",
        )

    @contextmanager
    def started(self, phone_port: int) -> Iterator[Stack]:
        with ExitStack() as cleanup:
            cleanup.callback(self._end)
            self._start_stand_ins()
            self._prepare_aws()
            self._start_application()
            cleanup.enter_context(self._phone(phone_port))
            yield Stack(self._urls, self._feed, self.environment, self.logs, [*self._stand_ins, *self._application])

    def say(self, sentence: str) -> None:
        if self._options.announce:
            print(f"  {sentence}", flush=True)

    def _start_stand_ins(self) -> None:
        self.say("starting AWS, Twilio and OpenAI stand-ins")
        start = self._stand_ins
        self._start(start, "aws", "--port", _port(self._urls.aws))
        self._start(start, "twilio", "--port", _port(self._urls.twilio), "--app", self._urls.app)
        if not self._options.openai_api_key:
            self._start(start, "openai", "--port", _port(self._urls.openai))
        for child in self._stand_ins:
            child.wait_until_ready()

    def _prepare_aws(self) -> None:
        self.say("creating tables and queues, filling in the demonstration company")
        self._start(self._tasks, "resources", "--stage", STAGE, module="ops").wait_until_done()
        try:
            seed(_session(), self._urls.aws, self.environment, Cast(openai_api_key=self._openai_api_key()))
        except (BotoCoreError, ClientError) as error:
            raise StackFailed(f"the local AWS could not be filled: {error}") from error

    def _start_application(self) -> None:
        self.say("starting the application")
        for child in self._stand_ins:
            child.check()
        app = self._serve_app()
        worker = self._start(self._application, "worker", "--stage", STAGE, source="worker")
        worker.wait_until_ready()
        app.wait_until_answering(f"{self._urls.app}/health")

    @contextmanager
    def _phone(self, port: int) -> Iterator[None]:
        follower = TwilioFollower(self._feed, self._urls.twilio)
        follower.start()
        phone = create_app(self._feed, self._urls.twilio, demo_company.PEOPLE, demo_phone_company())
        try:
            with running(phone, port):
                yield
        finally:
            follower.stop()

    def _serve_app(self) -> Child:
        where = ("--host", HOST, "--port", _port(self._urls.app))
        command = (*CHALICE, "local", "--stage", STAGE, *where, "--no-autoreload")
        return self._spawn(self._application, "app", command, "app")

    def _start(
        self, group: list[Child], command: str, *arguments: str, module: str = "local", source: str | None = None
    ) -> Child:
        return self._spawn(group, command, ("-m", module, command, *arguments), source)

    def _spawn(self, group: list[Child], name: str, arguments: Sequence[str], source: str | None) -> Child:
        with _deferring_signals():  # a child that was started must be known, or nobody ends it
            child = Child(
                name,
                [sys.executable, *arguments],
                child_environment(self.environment),
                logs=self.logs,
                feed=self._feed,
                source=source,
                verbose=self._options.verbose,
            )
            group.append(child)
        return child

    def _openai_api_key(self) -> str:
        return self._options.openai_api_key or demo_company.OPENAI_API_KEY

    def _end(self) -> None:
        with _undisturbed():
            self._feed.close()
            end_all([*self._tasks, *self._application])  # while what they talk to is still there
            end_all(self._stand_ins)


def demo_phone_company() -> Company:
    """The demonstration company as the phone shows it."""
    return Company(
        demo_company.COMPANY_NAME,
        demo_company.WHATSAPP_ADDRESS,
        demo_company.SMS_ADDRESS,
        demo_company.PROJECT_NAME,
    )


def child_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with `variables`, and without the person's own accounts and AWS files."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_PREFIXES)}
    own = {"PYTHONUNBUFFERED": "1", "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return {**inherited, **own, **variables}


def _forget(logs: Path) -> None:
    shutil.rmtree(logs, ignore_errors=True)


def _port(url: str) -> str:
    return url.removesuffix("/v1").rpartition(":")[2]


def _session() -> boto3.Session:
    return boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=REGION)


@contextmanager
def _deferring_signals() -> Iterator[None]:
    """Ctrl-C or SIGTERM within the block takes effect at its end."""
    came: list[int] = []
    with _signals(lambda number, _: came.append(number)):
        yield
    if came:
        signal.raise_signal(came[0])


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C must not leave children behind."""
    with _signals(signal.SIG_IGN):
        yield


@contextmanager
def _signals(handler: Callable[[int, object], None] | signal.Handlers) -> Iterator[None]:
    """Handles the signals that end us in another way; only the main thread may, and only it is interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


# The command


def main(argv: list[str]) -> int:
    """`python -m local up`: runs until Ctrl-C or SIGTERM.

    Returns 0 after a signal, 1 when a piece failed, 2 when a port that was asked for is taken.
    """
    options = _options(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with running_stack(options) as stack:
            print(summary(stack, bool(options.openai_api_key)), flush=True)
            stack.watch()
    except KeyboardInterrupt:
        print("\nstopped")
        return 0
    except PortTaken as error:
        print(f"up: {error}", file=sys.stderr)
        return PORT_TAKEN
    except StackFailed as error:
        print(f"up: {error}", file=sys.stderr)
        return FAILED
    raise AssertionError("watching does not end by itself")


def _options(argv: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m local up", description=__doc__)
    for name, usual in DEFAULT_PORTS.items():
        parser.add_argument(
            f"--port-{name}", dest=f"{name}_port", type=int, metavar="N", help=f"default {usual}; 0 takes a free one"
        )
    parser.add_argument(
        "--burst-seconds", type=float, default=BURST_SECONDS, help="silence before an answer (default %(default)g)"
    )
    parser.add_argument(
        "--burst-max-seconds", type=float, default=BURST_MAX_SECONDS, help="longest wait (default %(default)g)"
    )
    parser.add_argument("--verbose", action="store_true", help="show the application's log lines")
    arguments = parser.parse_args(argv)
    return Options(**vars(arguments), openai_api_key=os.environ.get("OPENAI_API_KEY"), announce=True)


def summary(stack: Stack, real_openai: bool) -> str:
    """What a person needs to know once everything runs."""
    openai = "the real one, with your OPENAI_API_KEY" if real_openai else stack.openai_url
    return f"""
  The phone is at      {stack.phone_url}

  application          {stack.app_url}
  AWS (stand-in)       {stack.aws_url}
  Twilio (stand-in)    {stack.twilio_url}
  OpenAI{"            " if real_openai else " (stand-in) "}   {openai}

  Open the phone in a browser and write something.
  Ctrl-C stops everything."""

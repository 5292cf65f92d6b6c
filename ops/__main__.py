"""The operator's commands: `python -m ops <command> …`."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

from ops import (
    conversations,
    credentials,
    dead_letters,
    deploy,
    destroy,
    harden,
    media,
    package,
    policies,
    resources,
    smoke,
    tenants,
)


class Command(Protocol):
    """What a module of this package offers in order to be a command; its docstring is the help text."""

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> int: ...


COMMANDS: Mapping[str, Command] = {
    "deploy": deploy,
    "resources": resources,
    "harden": harden,
    "smoke": smoke,
    "package": package,
    "destroy": destroy,
    "policies": policies,
    "secrets": credentials,
    "tenants": tenants,
    "conversations": conversations,
    "dlq": dead_letters,
    "media": media,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Returns its exit code: 0 done, 1 it could not be done, 2 it was asked for wrongly."""
    parser = argparse.ArgumentParser(prog="python -m ops", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in COMMANDS.items():
        module.add_arguments(commands.add_parser(name, help=module.__doc__, description=module.__doc__))
    arguments = parser.parse_args(argv)
    return COMMANDS[arguments.command].run(arguments)


if __name__ == "__main__":
    sys.exit(main())

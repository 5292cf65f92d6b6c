"""`python -m tests.kill`: processes are killed while people write; `python -m tests.kill teeth`: would it notice?"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from local.stack import PROJECT
from tests.kill import teeth
from tests.kill.plan import MOST_PEOPLE, Plan
from tests.kill.run import play


def main(arguments: Sequence[str] | None = None) -> int:
    """1 if anything is violated, or a protection can be removed unnoticed."""
    parsed = _parser().parse_args(arguments)
    if parsed.command == "teeth":
        return teeth.bite(_plan(parsed), most=parsed.most, names=parsed.of)
    outcome = play(_plan(parsed), source=parsed.source)
    print(outcome.told() if outcome.violations else "\n".join(outcome.lines()))
    return int(bool(outcome.violations))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.kill", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["run", "teeth"], default="run")
    parser.add_argument("--people", type=_people, default=Plan.people, help="(default %(default)s)")
    parser.add_argument("--messages", type=int, default=Plan.messages, help="(default %(default)s)")
    parser.add_argument("--kills", type=int, default=Plan.kills, help="(default %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=Plan.seconds, help="how long people write (default %(default)s)"
    )
    parser.add_argument(
        "--patience", type=float, default=Plan.patience, help="1 waits as long as on AWS (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="(default %(default)s)")
    parser.add_argument("--source", type=Path, default=PROJECT, help="where the application is taken from")
    parser.add_argument("--most", type=int, default=3, help="teeth: seeds for each protection (default %(default)s)")
    parser.add_argument("--of", choices=list(teeth.PROTECTIONS), action="append", help="teeth: only these")
    return parser


def _people(text: str) -> int:
    people = int(text)
    if not 0 < people <= MOST_PEOPLE:
        raise argparse.ArgumentTypeError(f"from 1 to {MOST_PEOPLE}: that many numbers are reserved for fiction")
    return people


def _plan(parsed: argparse.Namespace) -> Plan:
    names = ("seed", "people", "messages", "kills", "seconds", "patience")
    return Plan(**{name: getattr(parsed, name) for name in names})


if __name__ == "__main__":
    sys.exit(main())

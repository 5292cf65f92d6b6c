"""`python -m tests.simulation run|story|teeth|singles|doubles`."""

import argparse
import sys
from collections.abc import Iterable, Sequence

from tests.simulation import exhaustive, story, teeth
from tests.simulation.runs import run_seeds
from tests.simulation.stores import STORES


def main(arguments: Sequence[str] | None = None) -> int:
    """1 if an invariant is violated, or a protection can be removed unnoticed."""
    parsed = _parser().parse_args(arguments)
    code: int = parsed.do(parsed)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="runs seeds and judges them")
    run.add_argument("--seeds", type=_seeds, default=range(2_000), metavar="A:B")
    run.add_argument("--jobs", type=int, default=2)
    run.add_argument(
        "--store", choices=list(STORES), default="twin", help="what keeps the records (default %(default)s)"
    )
    run.set_defaults(do=_run)
    tell = commands.add_parser("story", help="tells a seed call by call; a failing one as short as possible")
    tell.add_argument("seed", type=int)
    tell.add_argument("--whole", action="store_true", help="does not shorten it")
    tell.set_defaults(do=_story)
    bite = commands.add_parser("teeth", help="removes each protection and shows which seed notices")
    bite.add_argument("--most", type=int, default=teeth.MOST_SEEDS, help="gives up after so many seeds")
    bite.add_argument("--jobs", type=int, default=2)
    bite.set_defaults(do=_teeth)
    single = commands.add_parser("singles", help="every single fault of six conversations")
    single.add_argument("--jobs", type=int, default=2)
    single.set_defaults(do=_singles)
    double = commands.add_parser("doubles", help="every pair of faults of six conversations")
    double.add_argument("--jobs", type=int, default=2)
    double.add_argument("--of", choices=list(exhaustive.SCENARIOS), action="append", help="only of these")
    double.add_argument("--every-kind", action="store_true", help="calls fail, too, and do not only die")
    double.set_defaults(do=_doubles)
    return parser


def _seeds(text: str) -> range:
    first, _, last = text.partition(":")
    return range(int(first), int(last)) if last else range(int(first), int(first) + 1)


def _run(parsed: argparse.Namespace) -> int:
    tally = run_seeds(parsed.seeds, jobs=parsed.jobs, store=parsed.store)
    print("\n".join(tally.lines()))
    if not tally.failed:
        return 0
    print(f"\nthe shortest story of seed {min(tally.failed)}:\n")
    print(story.of_seed(min(tally.failed), store=parsed.store))
    return 1


def _story(parsed: argparse.Namespace) -> int:
    print(story.of_seed(parsed.seed, shrink=not parsed.whole))
    return 0


def _teeth(parsed: argparse.Namespace) -> int:
    blind = 0
    for found in teeth.search_all(jobs=parsed.jobs, most=parsed.most):
        print(found, flush=True)
        blind += found.seeds is None
    print(f"{len(teeth.PROTECTIONS) - blind} of {len(teeth.PROTECTIONS)} protections are missed when they are gone")
    return int(blind > 0)


def _singles(parsed: argparse.Namespace) -> int:
    return _told(exhaustive.all_singles(jobs=parsed.jobs))


def _doubles(parsed: argparse.Namespace) -> int:
    names = parsed.of or list(exhaustive.SCENARIOS)
    return _told(exhaustive.all_doubles(names, jobs=parsed.jobs, every_kind=parsed.every_kind))


def _told(explored: Iterable[exhaustive.Explored]) -> int:
    failed = 0
    for each in explored:
        print(each, flush=True)
        for plan, violation in each.failed[:3]:
            print(f"    {' and '.join(str(fault) for _, fault in plan)}: {violation}")
        failed += len(each.failed)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

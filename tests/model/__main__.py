"""`python -m tests.model two | three | mutants`: explores the protocol, and tells how a promise is broken."""

import argparse
import sys
import time

from tests.model.explore import Result, explore
from tests.model.mutants import MUTANTS, SPARE
from tests.model.rules import protections
from tests.model.scenarios import THREE, TWO, Scenario


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("command", choices=("two", "three", "mutants"))
    parser.add_argument("--states", type=int, default=4_000_000, help="the most states that one run may have")
    parser.add_argument("--stories", action="store_true", help="with mutants: tell how each of them dies")
    arguments = parser.parse_args(argv)
    began = time.perf_counter()
    if arguments.command == "mutants":
        failed = _mutants(arguments.stories)
    else:
        failed = _scenarios({"two": TWO, "three": THREE}[arguments.command], arguments.states)
    print(f"{time.perf_counter() - began:.1f} s")
    return int(failed)


def _scenarios(scenarios: tuple[Scenario, ...], most_states: int) -> bool:
    failed = False
    for scenario in scenarios:
        result = explore(scenario.rules, most_states=most_states)
        print(f"{scenario.name}: {_figures(result)}", flush=True)
        if result.violation:
            failed = True
            print(result.violation, flush=True)
    return failed


def _figures(result: Result) -> str:
    seen = "all" if result.complete else "the first"
    return (
        f"{seen} {result.states:,} states, {result.steps:,} steps, {result.at_rest:,} at rest, "
        f"{result.depth} steps deep, {result.seconds:.1f} s"
    )


def _mutants(stories: bool) -> bool:
    sentences = {each.name: each.metadata["sentence"] for each in protections()}
    failed = False
    for mutant in MUTANTS:
        result = mutant.run()
        without = "; ".join(sentences[name] for name in mutant.without)
        if result.violation is None:
            failed = True
            print(f"LIVES  without: {without}")
            continue
        length, invariant = len(result.violation.story), result.violation.invariant
        print(f"dies after {length:2} steps ({invariant}, {result.states:,} states) without: {without}", flush=True)
        if stories:
            print(result.violation)
    for name, why in SPARE.items():
        print(f"a second line, not needed alone: {sentences[name]} ({why})")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

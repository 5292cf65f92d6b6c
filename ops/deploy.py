"""Deploys a stage: tables, queues and alarms, then the application, then what the API demands, then a smoke test."""

import argparse
import json
import sys
from collections.abc import Iterator

from botocore.exceptions import BotoCoreError, ClientError

from ops import bundle, harden, resources, smoke
from ops.resources import ApplyError

UNKNOWN_ADDRESS = """\
Not yet done: the stage does not know its own address, so delivery callbacks are off. Put this into
.chalice/config.json, under "stages", "{stage}", "environment_variables", and deploy once more:
    "PUBLIC_BASE_URL": "{url}\""""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    resources.add_arguments(parser)
    parser.add_argument(
        "--base-url", help="where the API answers, if not where Chalice says; {rest_api_id} stands for its id"
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints a line for each thing done. Returns 0, or 1 with the reason, at the first thing that fails."""
    try:
        for line in deploy(arguments):
            print(line, flush=True)
    except (ApplyError, bundle.BundleError, BotoCoreError, ClientError) as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 1
    return 0


def deploy(arguments: argparse.Namespace) -> Iterator[str]:
    """Each step may be repeated, and what it finds done it leaves.

    Raises ApplyError at the first step that fails; botocore's errors for an AWS that cannot be reached or refuses.
    """
    stage, aws = arguments.stage, resources.session()
    yield from resources.apply(stage, arguments.wait_seconds, aws, dict(arguments.set))
    package = bundle.build(stage)
    yield f"packed {package.name}, {package.stat().st_size / 1e6:.1f} MB"
    yield from _chalice_deploy(stage)
    yield from harden.harden(stage, aws)
    yield from smoke.smoke(stage, aws, arguments.base_url)
    if not knows_its_address(stage):
        yield UNKNOWN_ADDRESS.format(stage=stage, url=smoke.address(stage, arguments.base_url))


def _chalice_deploy(stage: str) -> Iterator[str]:
    done = bundle.chalice("deploy", "--stage", stage)
    if done.returncode:
        raise ApplyError(f"chalice deploy failed:\n{done.stdout}{done.stderr}")
    yield from (line for line in done.stdout.splitlines() if not line.startswith(("Resources", "  - Lambda")))


def knows_its_address(stage: str) -> bool:
    config = json.loads((harden.PROJECT / ".chalice" / "config.json").read_text())
    own = config["stages"].get(stage, {}).get("environment_variables", {})
    return bool({**config.get("environment_variables", {}), **own}.get("PUBLIC_BASE_URL"))

"""The environment variables that join the pieces of the local stack, for a shell."""

import argparse
import shlex

from local.stack import environment


def main(argv: list[str]) -> int:
    """Prints one `export` line for each variable, for the usual ports."""
    argparse.ArgumentParser(prog="python -m local env", description=__doc__).parse_args(argv)
    for name, value in environment().items():
        print(f"export {name}={shlex.quote(value)}")
    return 0

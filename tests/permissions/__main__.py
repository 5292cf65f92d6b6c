"""Writes what each function does in AWS to a JSON file: the function's name, and its actions with their resources."""

import json
import sys
from dataclasses import astuple
from pathlib import Path

from tests.permissions.walk import recorded

if __name__ == "__main__":
    done = {name: sorted(map(astuple, each)) for name, each in recorded().items()}
    Path(sys.argv[1]).write_text(json.dumps(done))

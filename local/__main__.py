"""`python -m local COMMAND`: the application and everything it talks to, on a laptop."""

import sys
from importlib import import_module

#: Each command's module, and what it does.
COMMANDS = {
    "up": ("local.stack", "everything in one go, with a phone in the browser"),
    "demo": ("local.demo", "the same, and a scripted conversation that must come out right"),
    "aws": ("local.aws", "the stand-in for AWS"),
    "twilio": ("local.twilio", "the stand-in for Twilio"),
    "openai": ("local.openai", "the stand-in for OpenAI"),
    "worker": ("local.worker", "what Lambda does: queues and schedules wake the handlers"),
    "env": ("local.environment", "the environment variables that join the pieces, as `export` lines"),
    "seed": ("local.seed", "the demo company's secrets, tenants and conversations"),
}


def main(arguments: list[str]) -> int:
    """Runs one command; its exit code. Each command tells its options with `--help`."""
    if not arguments or arguments[0] in ("-h", "--help") or arguments[0] not in COMMANDS:
        asked = bool(arguments) and arguments[0] in ("-h", "--help")
        print(usage(), file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    command, *rest = arguments
    result: int = import_module(COMMANDS[command][0]).main(rest)
    return result


def usage() -> str:
    lines = [f"  {name:8} {meaning}" for name, (_, meaning) in COMMANDS.items()]
    return "usage: python -m local COMMAND [options]\n\n" + "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

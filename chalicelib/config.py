"""Settings and names. The only reader of the environment, and it reads it when asked, never at import."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

APPLICATION = "ai-multi-comms"
DEFAULT_STAGE = "dev"
LOCAL_STAGE = "local"
DEFAULT_REGION = "eu-west-2"
DEFAULT_BURST_IDLE = timedelta(seconds=30)
DEFAULT_BURST_MAX = timedelta(seconds=90)

#: A relay with less patience than this, as a factor, would mistake its own pace for a failure.
SHORTEST_PATIENCE = 0.02

#: SQS delays a message by at most 15 minutes.
LONGEST_DELAY = timedelta(minutes=15)

#: Deadlines agree: engine < Lambda timeout < visibility timeout. The house test reads the files they live in.
#: `model.Patience` holds those that the parts of the relay have with each other.
ENGINE_DEADLINE = timedelta(seconds=75)
TOOL_DEADLINE = timedelta(seconds=8)
MEDIA_DEADLINE = timedelta(seconds=8)  # each answer and each piece of a file
AWS_CONNECT_DEADLINE = timedelta(seconds=2)
AWS_READ_DEADLINE = timedelta(seconds=2.5)

#: A queue message is tried this often before it goes to the dead-letter queue (`maxReceiveCount` in the template).
LONGEST_QUEUE_ATTEMPTS = 3


class SettingsError(Exception):
    """The environment does not hold what the application needs; the message names every variable at once."""


def stage(environment: Mapping[str, str] = os.environ) -> str:
    return environment.get("STAGE") or DEFAULT_STAGE


def queue_name(purpose: str, environment: Mapping[str, str] = os.environ) -> str:
    """The name of the queue for `purpose`, such as `whatsapp-replies` or `sender`."""
    return f"{APPLICATION}-{purpose}-queue-{stage(environment)}"


def bucket_name(account: str, environment: Mapping[str, str] = os.environ) -> str:
    """The name of the media bucket in an AWS account, as the template gives it."""
    return f"{APPLICATION}-media-{stage(environment)}-{account}"


def table_name(purpose: str, environment: Mapping[str, str] = os.environ) -> str:
    return f"{APPLICATION}-{purpose}-{stage(environment)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that may differ between two installations."""

    stage: str
    region: str
    conversations_table: str
    messages_table: str
    tenants_table: str
    media_bucket: str | None
    media_folder: str | None
    burst_idle: timedelta
    burst_max: timedelta
    patience: float
    public_base_url: str | None
    twilio_api_base_url: str | None
    aws_endpoint_url: str | None
    openai_base_url: str | None
    tools_on_loopback: bool

    @classmethod
    def from_env(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """The settings that `environment` holds.

        Raises SettingsError with every variable that is unusable.
        """
        problems: list[str] = []
        settings = cls(
            stage=stage(environment),
            region=environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or DEFAULT_REGION,
            conversations_table=environment.get("CONVERSATIONS_TABLE") or table_name("conversations", environment),
            messages_table=environment.get("MESSAGES_TABLE") or table_name("messages", environment),
            tenants_table=environment.get("TENANTS_TABLE") or table_name("tenants", environment),
            media_bucket=environment.get("MEDIA_BUCKET") or None,
            media_folder=environment.get("MEDIA_FOLDER") or None,
            burst_idle=_seconds(environment, "BURST_IDLE_SECONDS", DEFAULT_BURST_IDLE, problems),
            burst_max=_seconds(environment, "BURST_MAX_SECONDS", DEFAULT_BURST_MAX, problems),
            patience=_patience(environment, problems),
            public_base_url=_url(environment, "PUBLIC_BASE_URL", problems),
            twilio_api_base_url=_url(environment, "TWILIO_API_BASE_URL", problems),
            aws_endpoint_url=_url(environment, "AWS_ENDPOINT_URL", problems),
            openai_base_url=_url(environment, "OPENAI_BASE_URL", problems),
            tools_on_loopback=_only_on_a_laptop(environment, "TOOLS_ON_LOOPBACK", problems),
        )
        if problems:
            raise SettingsError("; ".join(problems))
        return settings


def _seconds(environment: Mapping[str, str], name: str, default: timedelta, problems: list[str]) -> timedelta:
    text = environment.get(name)
    if not text:
        return default
    try:
        value = timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        problems.append(f"{name} must be a number of seconds")
        return default
    if not timedelta(0) <= value <= LONGEST_DELAY:
        problems.append(f"{name} must be between 0 and {LONGEST_DELAY.total_seconds():.0f} seconds")
    return value


def _patience(environment: Mapping[str, str], problems: list[str]) -> float:
    """The real Twilio needs all of our patience: how soon it lists a message is its own affair."""
    text = environment.get("PATIENCE")
    if not text:
        return 1.0
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not SHORTEST_PATIENCE <= value <= 1:
        problems.append(f"PATIENCE must be a number from {SHORTEST_PATIENCE} to 1")
    elif value < 1 and not environment.get("TWILIO_API_BASE_URL"):
        problems.append("PATIENCE may be less than 1 only with a stand-in for Twilio (TWILIO_API_BASE_URL)")
    return value


def _only_on_a_laptop(environment: Mapping[str, str], name: str, problems: list[str]) -> bool:
    wanted = environment.get(name, "") not in ("", "0", "false")
    if wanted and stage(environment) != LOCAL_STAGE:
        problems.append(f"{name} may be set in the stage {LOCAL_STAGE} only")
    return wanted


def _url(environment: Mapping[str, str], name: str, problems: list[str]) -> str | None:
    text = environment.get(name)
    if not text:
        return None
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        problems.append(f"{name} must be an http or https URL without query or fragment")
    return text.rstrip("/")

"""The company of the demonstration: invented names, and numbers from the range reserved for fiction."""

from dataclasses import dataclass

COMPANY_ID = "company-demo"
COMPANY_NAME = "Cucumber Recruitment"
PROJECT_ID = "project-demo"
PROJECT_NAME = "Clarify CV"

ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN = "not-a-real-twilio-auth-token"
OPENAI_API_KEY = "sk-not-a-real-openai-key"

WHATSAPP_ADDRESS = "whatsapp:+447700900001"
SMS_ADDRESS = "+447700900001"

TWILIO_SECRET = "whatsapp-credentials/cucumber-recruitment/cv-analysis/twilio"
OPENAI_SECRET = "ai-credentials/cucumber-recruitment/openai"


@dataclass(frozen=True)
class Person:
    """Somebody who may write to the company."""

    first_name: str
    last_name: str
    number: str  # E.164, fictional: +44 7700 900xxx
    channel: str  # "whatsapp" or "sms"
    conversation: str  # "ai", "human" (a human owns it) or "none"

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def address(self) -> str:
        """As Twilio writes it: `whatsapp:+44…` or `+44…`."""
        return f"whatsapp:{self.number}" if self.channel == "whatsapp" else self.number

    @property
    def writes_to(self) -> str:
        """The company's address on this person's channel."""
        return WHATSAPP_ADDRESS if self.channel == "whatsapp" else SMS_ADDRESS


PEOPLE = (
    Person("Amara", "Okafor", "+447700900101", "whatsapp", "ai"),
    Person("Bruno", "Lindqvist", "+447700900102", "whatsapp", "human"),
    Person("Chloe", "Marsh", "+447700900103", "sms", "ai"),
    Person("Dev", "Anand", "+447700900104", "whatsapp", "none"),
)

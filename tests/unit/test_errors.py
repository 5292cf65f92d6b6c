"""Every error that a vendor can raise is sorted by who should act; a new one in a new version fails here."""

import inspect
from itertools import combinations

import openai
import pytest
import requests
import twilio.base.exceptions
from twilio.base.exceptions import TwilioException, TwilioRestException

from chalicelib.channels.twilio_codes import CODES, Kind, kind_of
from chalicelib.channels.twilio_rest import of_transport, of_twilio
from chalicelib.engines.openai_api import BUSY_CODES, MEANING, PASSING_CODES, REFUSED_CODES, Busy, of_error
from chalicelib.errors import Refused, RelayError, TryAgain, Unconfirmed


def exceptions_of(module: object) -> set[type[Exception]]:
    found = (each for name, each in inspect.getmembers(module, inspect.isclass) if not name.startswith("_"))
    return {each for each in found if issubclass(each, Exception)}


class TestOpenAi:
    def test_every_exception_of_the_sdk_is_sorted(self) -> None:
        assert exceptions_of(openai) - set(MEANING) == set()

    def test_the_more_special_one_comes_first(self) -> None:
        for earlier, later in combinations(MEANING, 2):
            assert not issubclass(later, earlier), f"{later.__name__} is never reached after {earlier.__name__}"

    def test_no_code_has_two_meanings(self) -> None:
        assert set() == REFUSED_CODES & PASSING_CODES == REFUSED_CODES & BUSY_CODES == PASSING_CODES & BUSY_CODES

    @pytest.mark.parametrize(
        ("code", "meaning"),
        [
            *((code, Refused) for code in sorted(REFUSED_CODES)),
            *((code, TryAgain) for code in sorted(PASSING_CODES)),
            *((code, Busy) for code in sorted(BUSY_CODES)),
        ],
    )
    def test_a_code_speaks_louder_than_its_class(self, code: str, meaning: type[RelayError]) -> None:
        error = openai.OpenAIError("x")
        error.code = code  # type: ignore[attr-defined]
        assert type(of_error(error)) is meaning

    def test_what_is_no_answer_at_all_may_pass(self) -> None:
        assert type(of_error(ValueError("not json"))) is TryAgain

    def test_the_words_of_an_error_are_left_behind(self) -> None:
        assert "secret words" not in str(of_error(openai.OpenAIError("secret words")))


#: Source: Twilio's error and warning dictionary.
WINDOW_CLOSED = [63016]
OPTED_OUT = [21610]
RECIPIENT = [21211, 21612, 21614, 30005, 30006, 63003, 63024, 63031, 63032, 63033, 63049]
CONTENT = [
    *(12300, 21212, 21408, 21617, 21620, 21623, 21654, 21655, 21656, 21657, 21658, 21701, 21703, 21705, 21712),
    *(30007, 30032, 30034, 63005, 63007, 63013, 63014, 63021, 63025, 63027, 63028, 63030, 63034, 63040, 63041, 63042),
]
ACCOUNT = [20003, 21608, 30002, 63015, 63020, 63051]
BUSY = [20429, 21611, 30001, 63010, 63012, 63017, 63018, 63038]
REPORTED_LATER = [30003, 30008, 63019]  # in callbacks only: nothing is left to be tried again

SORTED = {
    Kind.WINDOW_CLOSED: WINDOW_CLOSED,
    Kind.OPTED_OUT: OPTED_OUT,
    Kind.RECIPIENT: RECIPIENT,
    Kind.CONTENT: CONTENT,
    Kind.ACCOUNT: ACCOUNT,
    Kind.BUSY: BUSY,
}


def rest_error(status: int, code: int | None = None) -> TwilioRestException:
    return TwilioRestException(status, "/Messages", "secret words", code=code)


class TestTwilio:
    def test_every_exception_of_the_sdk_is_sorted(self) -> None:
        names = {each.__name__ for each in exceptions_of(twilio.base.exceptions)}
        assert names == {"TwilioException", "TwilioRestException", "TwilioServiceException"}

    @pytest.mark.parametrize(("kind", "code"), [(kind, code) for kind, codes in SORTED.items() for code in codes])
    def test_every_code_is_of_its_kind(self, kind: Kind, code: int) -> None:
        assert kind_of(code) == kind

    @pytest.mark.parametrize("code", REPORTED_LATER)
    def test_what_is_reported_later_is_sorted_too(self, code: int) -> None:
        assert kind_of(code) not in (None, Kind.BUSY)

    def test_every_code_is_explained(self) -> None:
        assert all(len(sentence.split()) > 2 for _, sentence in CODES.values())

    @pytest.mark.parametrize("code", [code for codes in SORTED.values() for code in codes])
    def test_only_what_is_busy_is_tried_again(self, code: int) -> None:
        meaning = TryAgain if code in BUSY else Refused
        assert type(of_twilio(rest_error(400, code), sending=True)) is meaning

    def test_a_refusal_names_its_code(self) -> None:
        refused = of_twilio(rest_error(400, 63016), sending=True)
        assert isinstance(refused, Refused)
        assert refused.code == "63016"
        assert "secret words" not in str(refused)

    def test_a_code_that_nobody_knows_is_a_refusal(self) -> None:
        assert type(of_twilio(rest_error(400, 99999), sending=True)) is Refused

    def test_too_many_requests_are_safe_to_repeat(self) -> None:
        assert type(of_twilio(rest_error(429), sending=True)) is TryAgain

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_a_server_error_may_hide_a_message_that_was_taken(self, status: int) -> None:
        assert type(of_twilio(rest_error(status), sending=True)) is Unconfirmed
        assert type(of_twilio(rest_error(status), sending=False)) is TryAgain

    def test_what_the_sdk_itself_refuses_is_a_refusal(self) -> None:
        assert type(of_twilio(TwilioException("no credentials"), sending=True)) is Refused

    @pytest.mark.parametrize(
        "error", [requests.ReadTimeout(), requests.ConnectionError("reset"), requests.RequestException()]
    )
    def test_silence_after_sending_is_doubt(self, error: requests.RequestException) -> None:
        assert type(of_transport(error, sending=True)) is Unconfirmed
        assert type(of_transport(error, sending=False)) is TryAgain

    def test_a_connection_that_was_never_made_means_that_nothing_happened(self) -> None:
        assert type(of_transport(requests.ConnectTimeout(), sending=True)) is TryAgain

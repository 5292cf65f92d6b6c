"""The names of our own messages in URLs that leave us."""

import base64
import re
import string

import pytest

from chalicelib.channels.references import SealedReferences
from chalicelib.model import ConversationKey, Numbered
from tests.twins import cast

REFERENCES = SealedReferences()
SECRET = {"twilio_account_sid": "AC1", "twilio_auth_token": "one"}
OTHER = {"auth_token": "two"}
POSITION = Numbered.answer(7, 0)


def test_a_reference_opens_with_the_secret_that_sealed_it() -> None:
    sealed = REFERENCES.seal(cast.KEY, POSITION, SECRET)
    assert REFERENCES.unseal(sealed, [SECRET]) == (cast.KEY, POSITION)


@pytest.mark.parametrize("key", [ConversationKey("j.doe@example.com", "a/b#c ü"), ConversationKey("US.ABC", "😀" * 50)])
def test_every_key_can_be_sealed(key: ConversationKey) -> None:
    assert REFERENCES.unseal(REFERENCES.seal(key, POSITION, SECRET), [SECRET]) == (key, POSITION)


def test_another_tenant_can_neither_read_nor_make_it() -> None:
    sealed = REFERENCES.seal(cast.KEY, POSITION, SECRET)
    assert REFERENCES.unseal(sealed, [OTHER]) is None
    assert REFERENCES.unseal(sealed, []) is None


def test_during_a_rotation_every_current_secret_is_tried() -> None:
    sealed = REFERENCES.seal(cast.KEY, POSITION, SECRET)
    assert REFERENCES.unseal(sealed, [OTHER, {}, SECRET]) == (cast.KEY, POSITION)


def test_a_token_is_the_same_under_either_name() -> None:
    sealed = REFERENCES.seal(cast.KEY, POSITION, {"twilio_auth_token": "one"})
    assert REFERENCES.unseal(sealed, [{"auth_token": "one"}]) == (cast.KEY, POSITION)


def test_nothing_can_be_read_in_it() -> None:
    sealed = REFERENCES.seal(cast.KEY, POSITION, SECRET)
    plain = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    for part in (cast.PERSON, cast.PERSON[1:], cast.CONVERSATION_ID, "company", POSITION):
        assert part not in sealed
        assert part.encode() not in plain


def test_it_is_safe_in_a_path() -> None:
    sealed = REFERENCES.seal(ConversationKey("+1", "x" * 300), POSITION, SECRET)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", sealed)


def test_the_same_message_has_the_same_name_and_others_have_others() -> None:
    one = REFERENCES.seal(cast.KEY, POSITION, SECRET)
    assert one == REFERENCES.seal(cast.KEY, POSITION, SECRET)
    assert one != REFERENCES.seal(cast.KEY, Numbered.answer(7, 1), SECRET)


def test_a_reference_that_was_tampered_with_is_nobodys() -> None:
    sealed = REFERENCES.seal(cast.KEY, POSITION, SECRET)
    for index in range(0, len(sealed) - 1, 3):
        letter = next(each for each in string.ascii_letters if each != sealed[index])
        assert REFERENCES.unseal(sealed[:index] + letter + sealed[index + 1 :], [SECRET]) is None
    assert REFERENCES.unseal(sealed[:-4], [SECRET]) is None
    assert REFERENCES.unseal(sealed + "AAAA", [SECRET]) is None


@pytest.mark.parametrize("nonsense", ["", "A", "AAAA", "%%%%", "ümläut", "=" * 10, "a" * 5_000, "\x00", "A" * 22])
def test_nonsense_is_nobodys(nonsense: str) -> None:
    assert REFERENCES.unseal(nonsense, [SECRET]) is None

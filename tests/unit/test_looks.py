"""What a person sees is what the Markdown meant: our text on a phone's screen beside the same Markdown as HTML."""

import re
from collections.abc import Iterable
from html.parser import HTMLParser

from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.channels import markdown
from chalicelib.channels.formats import FORMATS
from chalicelib.model import Channel
from tests.whatsapp_screen import MEANT, Shown, shown

WHATSAPP = FORMATS[Channel.WHATSAPP]
SMS = FORMATS[Channel.SMS]

LOOKS = {"strong": "bold", "em": "italic", "s": "strike", "code": "code", "blockquote": "quote"}
LOOKS |= {f"h{level}": "bold" for level in range(1, 7)}


class Html(HTMLParser):
    """Reads what a browser would show, as far as the parser's HTML goes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Shown] = []
        self.open: list[str] = []
        self.lists: list[int | None] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in LOOKS:
            self.open.append(LOOKS[tag])
        elif tag in ("ul", "ol"):
            self.lists.append(None if tag == "ul" else int(dict(attributes).get("start") or 1))
        elif tag == "li":
            number = self.lists[-1]
            bullet = "-" if "quote" in self.open else "•"  # in a quote WhatsApp shows no lists
            self._show(bullet if number is None else f"{number}.")
            self.lists[-1] = None if number is None else number + 1
        elif tag == "hr":
            self._show("---")

    def handle_endtag(self, tag: str) -> None:
        if tag in LOOKS:
            self.open.remove(LOOKS[tag])
        elif tag in ("ul", "ol"):
            self.lists.pop()

    def handle_data(self, data: str) -> None:
        self._show(data)

    def _show(self, text: str) -> None:
        self.found += [(each, frozenset(self.open)) for each in text]


def as_html(text: str) -> list[Shown]:
    reader = Html()
    reader.feed(markdown.parser().render(text))
    reader.close()
    return reader.found


def as_messages(text: str) -> list[Shown]:
    return [each for part in WHATSAPP.parts(text) for each in shown(part)]


def visible(found: Iterable[Shown]) -> list[Shown]:
    """What can be seen, and how; a block of code in a quote is shown as code alone, because WhatsApp has no more."""
    return [
        (each.translate(MEANT), looks - {"quote"} if "code" in looks else looks)
        for each, looks in found
        if not each.isspace()
    ]


def _says_something(text: str) -> bool:
    """Neither nothing at all nor the bullet of an item without words, which is one only for Markdown."""
    return bool(visible(as_html(text))) and not re.search(r"^[\s>#]*(([-*+]|\d+[.)])\s*)+$", text, re.MULTILINE)


WORDS = st.sampled_from(["word", "b", "né", "x2", "7", "重要", "שלום", "👍🏽", "e\u0301"])
SIGNS = st.sampled_from([*"*_~`()[].,:!-+#", "**", "__", "~~", "``", "***", "\\*", "\\_", "\\~", "\\`", "。", "（"])
INLINE = st.lists(st.one_of(WORDS, SIGNS, st.just(" "), st.just(" ")), min_size=1, max_size=25).map("".join)
BLOCKS = st.one_of(
    INLINE,
    st.lists(INLINE, min_size=2, max_size=3).map("\n".join),
    INLINE.map("# {}".format),
    INLINE.map("> {}".format),
    st.lists(INLINE.map("- one {}".format), min_size=1, max_size=3).map("\n".join),
    st.lists(INLINE.map("1. one {}".format), min_size=1, max_size=3).map("\n".join),
    INLINE.map("```\n{}\n```".format),
)
DOCUMENTS = st.lists(BLOCKS, min_size=1, max_size=4).map("\n\n".join).filter(lambda text: _says_something(text))


@settings(max_examples=400, deadline=None)
@given(DOCUMENTS)
@example("**bold _both_** and _it **and** more_")
@example("a *b and **c**")
@example("**a\\* b**")
@example("重要**是**的，**注意：**请看")
@example("***all* of** it, *and **that***")
@example("un**believ**able")
@example("\\*not\\* \\_this\\_ \\~or\\~ \\`that\\`")
@example("`a*b` *c* `d_e`")
@example(">     `")
@example("word\n\n>     ``")
def test_a_phone_shows_what_the_markdown_meant(text: str) -> None:
    assert visible(as_messages(text)) == visible(as_html(text))


@settings(max_examples=200, deadline=None)
@given(DOCUMENTS)
def test_an_sms_says_the_same_without_the_looks(text: str) -> None:
    said = "".join("".join(part.split()) for part in SMS.parts(text))
    meant = "".join(each for each, _ in visible(as_html(text)))
    assert said.replace(">", "").replace("-", "•") == meant.replace(">", "").replace("-", "•")

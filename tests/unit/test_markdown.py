"""Hard cases of Markdown: what WhatsApp is sent, and what goes out by SMS."""

import pytest

from chalicelib.channels.formats import FORMATS
from chalicelib.model import Channel

HAIR = "\u200a"

CASES: dict[str, tuple[str, str, str]] = {
    # Markdown, WhatsApp, SMS
    "bold": ("**a** __b__", "*a* *b*", "a b"),
    "italic": ("*a* _b_", "_a_ _b_", "a b"),
    "strike": ("~~a~~", "~a~", "a"),
    "nested": ("**bold *and italic* and ~~gone~~**", "*bold _and italic_ and ~gone~*", "bold and italic and gone"),
    "nested the other way": ("*all **of** it*", "_all *of* it_", "all of it"),
    "both at once": ("***a* b** c", "*_a_ b* c", "a b c"),
    "bold in bold": ("# A **b** c", "*A b c*", "A b c"),
    "code": ("Use `x*y` now", "Use `x*y` now", "Use x*y now"),
    "code with a backtick": ("`` a`b ``", "```a`b```", "a`b"),
    "bold code": ("**`a`**", "*`a`*", "a"),
    "block of code": (
        "Do:\n\n```python\nif a*b:\n    c_d()\n```\nDone",
        "Do:\n\n```if a*b:\n    c_d()```\nDone",
        "Do:\n\nif a*b:\n    c_d()\nDone",
    ),
    "identifiers": ("snake_case_name and _x1_y", "snake_case_name and _x1_y", "snake_case_name and _x1_y"),
    "products": ("2*3*4 = 24, 5 * 6 * 7", "2*3*4 = 24, 5 * 6 * 7", "2*3*4 = 24, 5 * 6 * 7"),
    "addresses": (
        "https://e.com/a_b_c?d=e*f and **https://e.com/f_**",
        "https://e.com/a_b_c?d=e*f and https://e.com/f_",
        "https://e.com/a_b_c?d=e*f and https://e.com/f_",
    ),
    "an address that WhatsApp would misread": ("https://e.com/_a_/b", "https://e.com/%5Fa%5F/b", "https://e.com/_a_/b"),
    "an address in a sentence": ("(see https://e.com/a).", "(see https://e.com/a).", "(see https://e.com/a)."),
    "an address before Chinese": ("看https://e.com/a。好", "看https://e.com/a。好", "看https://e.com/a。好"),
    "a link": ("[our *terms*](https://e.com/t_c)", "our _terms_ (https://e.com/t_c)", "our terms (https://e.com/t_c)"),
    "a link that says its address": ("[e.com](https://e.com/)", "https://e.com/", "https://e.com/"),
    "a mail address": ("[write](mailto:a_b@e.com)", "write (a_b@e.com)", "write (a_b@e.com)"),
    "an autolink": ("<https://e.com>", "https://e.com", "https://e.com"),
    "a picture": ("![a cat](https://e.com/c.png)", "a cat (https://e.com/c.png)", "a cat (https://e.com/c.png)"),
    "escaped": (r"\*a\* \_b\_ \~c\~ \`d\`", "∗a∗ ˍbˍ ∼c∼ ˋdˋ", "*a* _b_ ~c~ `d`"),
    "escaped, alone": (r"5\* hotel, 100\_000", "5* hotel, 100_000", "5* hotel, 100_000"),
    "a star beside bold": ("a *b and **c**", "a ∗b and *c*", "a *b and c"),
    "a star in bold": (r"**a\* b**", "*a∗ b*", "a* b"),
    "bullets": ("- a\n- **b**\n  - c\n* * *\n", "- a\n- *b*\n  - c\n---", "- a\n- b\n  - c\n---"),
    "other bullets": ("* a\n* b", "- a\n- b", "- a\n- b"),
    "numbers": ("3. a\n4. b", "3. a\n4. b", "3. a\n4. b"),
    "an item with paragraphs": ("- a\n\n  b\n- c", "- a\n\n  b\n- c", "- a\n\n  b\n- c"),
    "what is no list": (r"\- a", "‐ a", "- a"),
    "what is no quote": (r"\> a", "＞ a", "> a"),
    "a quote": ("> a\n> **b**\n\nc", "> a\n> *b*\n\nc", "> a\n> b\n\nc"),
    "code in a quote": ("> ```\n> a\n> b\n> ```", "> `a`\n> `b`", "> a\n> b"),
    "heading and rule": ("## A\ntext\n\n---\nmore", "*A*\ntext\n\n---\nmore", "A\ntext\n\n---\nmore"),
    "a table": (
        "| Day | From |\n|---|---|\n| Mon | `9:00` |\n| **Tue** | |",
        "Day: *Mon*\nFrom: `9:00`\n\nDay: *Tue*",
        "Day: Mon\nFrom: 9:00\n\nDay: Tue",
    ),
    "line breaks": ("a\nb  \nc<br>d", "a\nb\nc\nd", "a\nb\nc\nd"),
    "tags and entities": ("<b>a</b> &amp; b <!-- c -->d", "<b>a</b> & b d", "<b>a</b> & b d"),
    "emoji": ("**✅ Done 👍🏽**!", "*✅ Done 👍🏽*!", "✅ Done 👍🏽!"),
    "bold beside emoji": ("✅**Done**", f"✅{HAIR}*Done*", "✅Done"),
    "combining": ("**cafe\u0301**s", f"*cafe\u0301*{HAIR}s", "cafe\u0301s"),
    "bold in a word": ("un**believ**able", f"un{HAIR}*believ*{HAIR}able", "unbelievable"),
    "right to left": ("**שלום** ו*ברוכים*", f"*שלום* ו{HAIR}_ברוכים_", "שלום וברוכים"),
    "Arabic": ("مرحبا **بك**، شكرا", "مرحبا *بك*، شكرا", "مرحبا بك، شكرا"),
    "Chinese": ("这是**重要**的。", f"这是{HAIR}*重要*{HAIR}的。", "这是重要的。"),
    "Chinese punctuation": ("**注意：**请看", f"*注意：*{HAIR}请看", "注意：请看"),
}  # fmt: skip


@pytest.mark.parametrize(("markdown", "whatsapp", "sms"), CASES.values(), ids=CASES.keys())
def test_markdown_becomes_what_each_channel_shows(markdown: str, whatsapp: str, sms: str) -> None:
    assert list(FORMATS[Channel.WHATSAPP].parts(markdown)) == [whatsapp]
    assert list(FORMATS[Channel.SMS].parts(markdown)) == [sms]


def test_five_thousand_characters_without_a_blank_keep_their_look() -> None:
    parts = FORMATS[Channel.WHATSAPP].parts(f"**{'x' * 5_000}**")
    assert "".join(part.strip("*") for part in parts) == "x" * 5_000
    assert all(part.startswith("*x") and part.endswith("x*") and len(part) <= 1_600 for part in parts)

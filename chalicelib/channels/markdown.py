"""Markdown, read by a CommonMark parser with GitHub's tables and strikethrough, as styled text."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.rules_inline.state_inline import Delimiter, StateInline
from markdown_it.token import Token

from chalicelib.channels.styled import BLOCK, BOLD, CODE, ITALIC, LINK, MARK, PLAIN, QUOTE, STRIKE, Styled

#: The parser leaves out what is nested deeper, so a text that goes so far is taken as it stands.
_DEEPEST = 20

_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_SCHEME = re.compile(r"(?<![a-z0-9.+-])https?$", re.IGNORECASE)
_ADDRESS = re.compile(r"://(?:[\w\-.~:/?#\[\]@!$&'()+,;=%]|\*(?!\*))+")
_NAMED_ANYWAY = re.compile(r"^(?:https?://|mailto:|tel:)|/$", re.IGNORECASE)

#: Chinese, Japanese and Korean, which put no blanks between words, with their punctuation.
_CJK = re.compile(r"[\u1100-\u11ff\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef]")


_PRODUCT = re.compile(r"[0-9A-Za-z]\*[0-9A-Za-z]|[0-9]\*+[0-9]")


def read(markdown: str) -> Styled:
    """The text with its looks. Blank lines stand where the author left some; nothing that can be read is lost."""
    tokens = parser().parse(markdown)
    if any(token.nesting > 0 and token.level + 1 >= _DEEPEST for token in tokens):
        return Styled.plain(markdown)
    return _Reading().all(tokens)


@cache
def parser() -> MarkdownIt:
    """CommonMark with tables and strikethrough, and addresses that need no brackets."""
    parser = MarkdownIt("commonmark", {"maxNesting": _DEEPEST}).enable(["table", "strikethrough"])
    parser.disable(["html_block", "lheading"])  # under a line `---` is a rule, whoever wrote the line
    parser.normalizeLink = lambda url: url.replace(" ", "%20")  # type: ignore[method-assign]
    parser.inline.ruler.before("emphasis", "bare_address", _bare_address)
    parser.inline.ruler.at("emphasis", _emphasis)
    return parser


def _bare_address(state: StateInline, silent: bool) -> bool:
    """`https://…` in a text is an address whatever its characters would mean otherwise."""
    scheme = _SCHEME.search(state.pending) if state.src[state.pos] == ":" and not state.linkLevel else None
    rest = _ADDRESS.match(state.src, state.pos) if scheme else None
    if silent or scheme is None or rest is None:
        return False
    address = _without_trail(scheme.group() + rest.group(), {chr(each.marker) for each in state.delimiters[-_DEEPEST:]})
    state.pending = state.pending[: scheme.start()]
    state.push("address", "", 0).content = address
    state.pos += len(address) - len(scheme.group())
    return True


def _without_trail(address: str, marks: set[str]) -> str:
    """The address without what the sentence around it put behind it, such as the end of a `**` that is open."""
    surplus = address.count(")") - address.count("(")
    end = len(address)
    while address[end - 1] in marks.union("?!.,:;'") or (address[end - 1] == ")" and surplus > 0):
        surplus -= address[end - 1] == ")"
        end -= 1
    return address[:end]


def _emphasis(state: StateInline, silent: bool) -> bool:
    """CommonMark's rule but for two cases: `2*3*4` is a product, and CJK needs no blank behind punctuation."""
    marker = state.src[state.pos]
    if silent or marker not in "*_":
        return False
    found = state.scanDelims(state.pos, marker == "*")
    behind = state.pos + found.length
    before, after = state.src[state.pos - 1 : state.pos], state.src[behind : min(behind + 1, state.posMax)]
    can_open, can_close = found.can_open, found.can_close
    if marker == "*" and before.strip() and after.strip():
        is_product = _PRODUCT.fullmatch(f"{before}{marker * found.length}{after}") is not None
        can_open = (can_open or _is_cjk(before)) and not is_product
        can_close = (can_close or _is_cjk(after)) and not is_product
    for _ in range(found.length):
        state.push("text", "", 0).content = marker
        state.delimiters.append(
            Delimiter(ord(marker), found.length, len(state.tokens) - 1, end=-1, open=can_open, close=can_close)
        )
    state.pos = behind
    return True


def _is_cjk(character: str) -> bool:
    return _CJK.match(character) is not None


class _Reading:
    """Walks once over the parser's tokens."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.looks: list[bytes] = []
        self.open: Counter[int] = Counter()  # how many of each look are open
        self.lists: list[int | None] = []  # of each open list the next number, None for bullets
        self.bullet = ""  # of an item that has nothing yet
        self.links: list[tuple[str, int]] = []  # of each open link its address and where its text begins
        self.line = 0  # of the source, behind the last block

    def all(self, tokens: Sequence[Token]) -> Styled:
        at = 0
        while at < len(tokens):
            at = self._table(tokens, at) if tokens[at].type == "table_open" else self._one(tokens[at], at)
        return Styled("".join(self.text), b"".join(self.looks))

    def _one(self, token: Token, at: int) -> int:
        act = _ACTS.get(token.type)
        if act is not None:
            act(self, token)
        elif token.type in _LOOKS:
            self.open[_LOOKS[token.type]] += token.nesting
        return at + 1

    def put(self, text: str, look: int = PLAIN) -> None:
        if look not in (LINK, BLOCK):
            look |= sum(each for each, times in self.open.items() if times)
        self.text.append(text)
        self.looks.append(bytes([look | (QUOTE if self.open[QUOTE] else PLAIN)]) * len(text))

    def block(self, token: Token) -> None:
        """A new line for a block, and an empty one before it where the source has one."""
        begins, ends = token.map or (self.line, self.line)
        if self.text:
            self.gap("\n\n" if begins > self.line else "\n")
        self.line = ends
        if token.type not in ("fence", "code_block"):
            self._put_mark(f"{'  ' * (len(self.lists) - 1)}{self.bullet}" if self.bullet else self._indentation())
        elif self.bullet:
            self._put_mark(f"{'  ' * (len(self.lists) - 1)}{self.bullet.rstrip()}")
            self.gap("\n")
        self.bullet = ""

    def gap(self, text: str) -> None:
        self.text.append(text)
        self.looks.append(bytes(len(text)))

    def _put_mark(self, mark: str) -> None:
        self.text.append(mark)
        self.looks.append(bytes([MARK | (QUOTE if self.open[QUOTE] else PLAIN)]) * len(mark))

    def _indentation(self) -> str:
        return "  " * len(self.lists)

    def heading(self, token: Token) -> None:
        if token.nesting > 0:
            self.block(token)
        self.open[BOLD] += token.nesting

    def paragraph(self, token: Token) -> None:
        self.block(token)

    def rule(self, token: Token) -> None:
        self.block(token)
        self.put("---")

    def code(self, token: Token) -> None:
        """A block of code; inside a quote, whose marks would stand in it, each line is code of its own."""
        lines = token.content.expandtabs(4).strip("\n").split("\n")
        if not token.content.strip():
            return
        self.block(token)
        if not self.open[QUOTE]:
            self.put("\n".join(lines), BLOCK)
            return
        for number, line in enumerate(lines):
            self.put("\n" * (number > 0))
            self.put(line, CODE)

    def begin_list(self, token: Token) -> None:
        if self.bullet:
            self.block(token)
        self.lists.append(int(token.attrs.get("start", 1)) if token.type == "ordered_list_open" else None)

    def end_list(self, token: Token) -> None:
        self.lists.pop()

    def begin_item(self, token: Token) -> None:
        number = self.lists[-1]
        self.bullet = "- " if number is None else f"{number}. "
        self.lists[-1] = None if number is None else number + 1

    def end_item(self, token: Token) -> None:
        if self.bullet:
            self.block(token)

    def inline(self, token: Token) -> None:
        for child in token.children or ():
            self._one(child, 0)

    def words(self, token: Token) -> None:
        self.put(token.content)

    def new_line(self, token: Token) -> None:
        self.put("\n")
        if self.lists:
            self._put_mark(self._indentation())

    def code_words(self, token: Token) -> None:
        self.put(token.content, CODE)

    def address(self, token: Token) -> None:
        self.put(token.content, LINK)

    def tag(self, token: Token) -> None:
        """`<br>` is a new line, a comment nothing; any other tag was meant to be read."""
        if _BREAK.fullmatch(token.content):
            self.new_line(token)
        elif not token.content.startswith("<!--"):
            self.put(token.content)

    def begin_link(self, token: Token) -> None:
        self.links.append((str(token.attrs["href"]), len(self.text)))

    def end_link(self, token: Token) -> None:
        address, begins = self.links.pop()
        shown = "".join(self.text[begins:])
        if not shown or _is_named(shown, address):
            del self.text[begins:], self.looks[begins:]
            self._put_address(address, "{}")
        else:
            self._put_address(address, " ({})")

    def picture(self, token: Token) -> None:
        """A picture's description and where it is, as no channel shows it in a text."""
        address = str(token.attrs["src"])
        self.inline(token)
        if not address.startswith("data:"):
            self._put_address(address, " ({})" if token.content else "{}")

    def _put_address(self, address: str, form: str) -> None:
        if address and not address.startswith("#"):
            bare = re.sub(r"^(?:mailto|tel):", "", address)
            self.put(form.format(bare), LINK if "://" in bare else PLAIN)

    def _table(self, tokens: Sequence[Token], at: int) -> int:
        """Each row as lines of its own, `heading: cell`, the first cell bold: a phone is too narrow for columns."""
        end = next(index for index in range(at, len(tokens)) if tokens[index].type == "table_close")
        heads, *rows = list(_rows(tokens[at:end]))
        self.block(tokens[at])
        for number, row in enumerate(rows or [heads]):
            self._row(number, heads if rows else [], row)
        return end + 1

    def _row(self, number: int, heads: Sequence[Token], row: Sequence[Token]) -> None:
        cells = [(index, cell) for index, cell in enumerate(row) if cell.content]
        for place, (index, cell) in enumerate(cells):
            if number or place:
                self.gap("\n" if place else "\n\n")
                self._put_mark(self._indentation())
            if index < len(heads) and heads[index].content:
                self.inline(heads[index])
                self.put(": ")
            self.open[BOLD] += index == 0
            self.inline(cell)
            self.open[BOLD] -= index == 0


def _rows(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    row: list[Token] = []
    for token in tokens:
        if token.type == "inline":
            row.append(token)
        elif token.type == "tr_close":
            yield row
            row = []


def _is_named(shown: str, address: str) -> bool:
    """Whether a link's text says its address already."""
    return _NAMED_ANYWAY.sub("", shown) == _NAMED_ANYWAY.sub("", address)


_LOOKS: Mapping[str, int] = {
    f"{name}_{end}": look
    for name, look in {"strong": BOLD, "em": ITALIC, "s": STRIKE, "blockquote": QUOTE}.items()
    for end in ("open", "close")
}

_ACTS: Mapping[str, Callable[[_Reading, Token], None]] = {
    "heading_open": _Reading.heading,
    "heading_close": _Reading.heading,
    "paragraph_open": _Reading.paragraph,
    "hr": _Reading.rule,
    "fence": _Reading.code,
    "code_block": _Reading.code,
    "bullet_list_open": _Reading.begin_list,
    "ordered_list_open": _Reading.begin_list,
    "bullet_list_close": _Reading.end_list,
    "ordered_list_close": _Reading.end_list,
    "list_item_open": _Reading.begin_item,
    "list_item_close": _Reading.end_item,
    "inline": _Reading.inline,
    "text": _Reading.words,
    "softbreak": _Reading.new_line,
    "hardbreak": _Reading.new_line,
    "code_inline": _Reading.code_words,
    "address": _Reading.address,
    "html_inline": _Reading.tag,
    "link_open": _Reading.begin_link,
    "link_close": _Reading.end_link,
    "image": _Reading.picture,
}

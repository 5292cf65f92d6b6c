"""A mind without a model: from the request alone to an answer that is friendly and always the same."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

HAND_OFF = "hand_off_to_human"
LONGEST_QUOTE = 60  # characters


@dataclass(frozen=True)
class Say:
    """Answer with this text."""

    text: str


@dataclass(frozen=True)
class Call:
    """Call this function with these arguments (a JSON object as text)."""

    name: str
    arguments: str


def think(request: Json) -> Say | Call:
    """Decides what to answer to the body of a Responses request; needs nothing else and changes nothing."""
    items = _items(request)
    if items and items[-1].get("type") == "function_call_output":
        return Say(_after_tool(items))
    texts = newest_messages(items)
    tool = _tool_to_call(request, texts)
    if tool is not None:
        return Call(tool["name"], json.dumps(_arguments(tool, _reason(texts)), ensure_ascii=False))
    return Say(_reply(texts))


def newest_messages(items: Sequence[Json]) -> list[str]:
    """What the user said after the assistant's last message, one text for each message."""
    newest: list[str] = []
    for item in items:
        if item.get("role") == "assistant":
            newest.clear()
        elif item.get("role") == "user":
            newest.append(_text_of(item.get("content", "")))
    return newest


def _items(request: Json) -> list[Json]:
    given = request.get("input", "")
    return [{"role": "user", "content": given}] if isinstance(given, str) else list(given)


def _text_of(content: str | Sequence[Json]) -> str:
    if isinstance(content, str):
        return content.strip()
    return " ".join(filter(None, (_text_of_part(part) for part in content)))


def _text_of_part(part: Json) -> str:
    kind = part.get("type")
    if kind == "input_image":
        return "(a picture)"
    if kind == "input_file":
        return f"(a document: {part.get('filename') or 'without a name'})"
    return str(part.get("text", "")).strip()


# --- tools


def _tool_to_call(request: Json, texts: list[str]) -> Json | None:
    tools = {tool["name"]: tool for tool in request.get("tools") or () if tool.get("type") == "function"}
    choice = request.get("tool_choice") or "auto"
    if choice == "none" or not tools:
        return None
    if isinstance(choice, Mapping):
        return tools.get(choice.get("name", ""))
    wanted = tools.get(HAND_OFF) if any(map(wants_human, texts)) else _named(tools, texts)
    return wanted or (next(iter(tools.values())) if choice == "required" else None)


def _named(tools: Mapping[str, Json], texts: list[str]) -> Json | None:
    """The tool that somebody asks for by its very name: so every tool can be tried from a phone."""
    words = {word for text in texts for word in re.findall(r"[A-Za-z0-9_-]+", text)}
    return next((tool for name, tool in tools.items() if "_" in name and name in words), None)


def _reason(texts: list[str]) -> str:
    if not any(map(wants_human, texts)):
        return _quoted(texts[-1] if texts else "")
    asking = next(filter(wants_human, texts))
    return f"The person asked for a human: {_quoted(asking)}"


def _arguments(tool: Json, reason: str) -> dict[str, object]:
    """Arguments that satisfy the tool's schema: every required property, and a reason where it takes one."""
    schema = tool.get("parameters") or {}
    properties = schema.get("properties") or {}
    names = set(schema.get("required") or ()) | ({"reason"} & set(properties))
    return {name: _value(properties[name], reason) for name in properties if name in names}


def _value(schema: Json, text: str) -> object:
    if schema.get("enum"):
        return schema["enum"][0]
    kinds = schema.get("type", "string")
    kind = kinds if isinstance(kinds, str) else next(iter(kinds), "string")
    plain: dict[str, object] = {"integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}
    return plain.get(kind, text)


def _after_tool(items: list[Json]) -> str:
    output = items[-1].get("output", "")
    found = output if isinstance(output, str) else _text_of(output)
    if _name_of_call(items) == HAND_OFF:
        return "Of course. I have passed our conversation to a colleague, who will write to you here soon."
    return f"I looked that up for you: {found.strip() or 'nothing was found'}"


def _name_of_call(items: list[Json]) -> str | None:
    called = items[-1].get("call_id")
    calls = (item for item in items if item.get("type") == "function_call")
    return next((call.get("name") for call in calls if call.get("call_id") == called), None)


# --- words


def _reply(texts: list[str]) -> str:
    if not texts:
        return "Hello! How can I help you with your application?"
    if any(map(_asks_for_everything, texts)):
        return f"{_opening(texts)}\n\n{EVERYTHING}"
    answers = dict.fromkeys(_answer_to(text) for text in texts)  # each once, in order
    return "\n\n".join((_opening(texts), *answers))


def _opening(texts: list[str]) -> str:
    if len(texts) == 1:
        return f"You wrote {_quoted(texts[0])}."
    quotes = [_quoted(text) for text in texts]
    listed = f"{', '.join(quotes[:-1])} and {quotes[-1]}"
    return f"I have read your {len(texts)} messages together: {listed}."


def _quoted(text: str) -> str:
    words = " ".join(text.split())
    short = words if len(words) <= LONGEST_QUOTE else f"{words[: LONGEST_QUOTE - 1].rstrip()}…"
    return f"“{short}”"


def _says(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda text: compiled.search(text) is not None


wants_human = _says(r"\b(humans?|(real )?person|agent|operator|(some|any)one real|real (some|any)one)\b")
_asks_for_everything = _says(r"\b(long|tell me everything)\b")

_HUMAN_WITHOUT_TOOL = "I cannot pass you to a colleague from here, but I will gladly help as far as I can."
_ANYTHING_ELSE = "Thank you, I have noted that. Is there anything about your CV or the role that I can help with?"

_INTENTS: tuple[tuple[Callable[[str], bool], str], ...] = (
    (wants_human, _HUMAN_WITHOUT_TOOL),
    (_says(r"\b(open|opening|hours|when .*(call|reach))\b"), "We are here Monday to Friday, 9:00 to 17:30."),
    (
        _says(r"\(a (picture|document)"),
        "Thank you for the attachment. I have put it with your application.",
    ),
    (
        _says(r"\b(cv|résumé|resume|experience|qualification)\b"),
        "About your CV: what helps most is **one line for each role** with what you did and for how long.",
    ),
    (_says(r"\b(thanks?|thank you|thx|cheers)\b"), "You are very welcome!"),
    (_says(r"^\W*(hi|hey|hello|good (morning|afternoon|evening))\b"), "Hello, it is good to hear from you!"),
)


def _answer_to(text: str) -> str:
    return next((answer for applies, answer in _INTENTS if applies(text)), _ANYTHING_ELSE)


EVERYTHING = """\
Gladly, here is everything, from the first look at your CV to your first day.

## 1. We read your CV

A person and a program read it side by side. The program looks for dates, roles and skills, and for gaps \
between them. The person looks for what a program cannot see: what you are proud of, what you would rather \
not do again, and where you want to go. Nothing is decided at this point. If a date is missing or a line \
can be read in two ways, we ask you, exactly as we are doing now, and your answer goes next to your CV so \
that nobody has to ask you twice. An unusual path is no problem: a year abroad, a parent to care for, a \
company that closed, all of that belongs to a life and can be said in one line.

## 2. We clear up what is unclear

Most questions are small. When did the second role end? Was the project yours alone, or were you one of \
several? Which of the tools on your list did you use last month, and which ten years ago? Short answers \
are fine, and you may send several messages in a row: we wait until you have finished typing and then \
answer *all* of them together. If you would like to change something that you told us earlier, just say so, \
and the newer answer counts. And if you would rather speak with one of my colleagues, tell me at any time; \
nothing that you wrote here gets lost on the way. A good answer looks like this:

> I left in **March 2021**, not 2020. The year in my CV is ~~right~~ a slip of the pen.

## 3. We compare it with the role

The employer has told us what is essential and what is welcome. We put your experience beside that list \
and mark three things: what clearly fits, what probably fits, and what is missing. You will see that list \
as well, because it is about you. Often something that seems to be missing is only called by another name, \
and one sentence from you is enough to move it to the other side.

## 4. You meet the employer

If both of you are interested, we arrange a first conversation, usually by video and usually within a \
week. It takes about forty minutes, and you can choose the time from three proposals:

| Day | From | With |
|-----|------|------|
| Tuesday | 10:00 | the team |
| Wednesday | 14:30 | the team |
| Friday | 9:00 | **the founder** |

Answer with `day time`, as in `Friday 9:00`, or pick one on \
[our calendar](https://example.com/calendar/your_first_talk). Before it you receive:

- the names and roles of the people whom you will meet
- the questions that they are most likely to ask
- a short note on the team and on what it is working on now

Afterwards we ask both of you how it went. We pass on what the employer says in full, also when it is not \
what you hoped to hear, because a clear answer today is worth more than a kind one in three weeks.

## 5. The offer, and the time after it

When there is an offer, we go through it with you line by line: salary, notice, holidays, remote work, and \
what happens in the trial period. You have time to think, and nobody will press you. Once you have signed, \
we stay in touch until your first day, and we write again after a month and after three months to hear \
whether the work is what was promised.

## 6. If it does not work out

Then your CV stays with us for as long as you wish. We tell you what the employer missed, we suggest what \
you could add or leave out, and we write to you when a role comes up that suits you better. Many of the \
people whom we placed last year had heard a no before they heard the yes that mattered. It is never more \
than one message a week, and one word from you stops it.

## What it costs you

Nothing. The employer pays us, and only when you have started. Your data stays with us and with the \
employers that you have agreed to; you can ask for a copy or for its deletion at any time, in this very \
chat, and we will confirm it when it is done.

That was everything for today. Which part would you like to hear more about?"""

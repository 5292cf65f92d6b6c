// The phone: one person's chat, and beside it the way of each message through the stages.
//
// Everything on the page is computed from two things: the messages that the Twilio stand-in holds for the
// chosen person, and the feed of events. Text that anybody wrote only ever becomes a text node.

const $ = (id) => document.getElementById(id);

/** Make an element: attributes that are null are left out, strings become text nodes. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// ---------------------------------------------------------------- what people write

const FENCE = /```\n?([\s\S]+?)\n?```/gu;
const FORMATS = [
  { tag: "code", pattern: /`([^`\n]+)`/u, plain: true },
  { tag: "strong", pattern: /(?<![\p{L}\p{N}*])\*(?=[^\s*])([^*\n]*?[^\s*])\*(?![\p{L}\p{N}*])/u },
  { tag: "em", pattern: /(?<![\p{L}\p{N}_])_(?=[^\s_])([^_\n]*?[^\s_])_(?![\p{L}\p{N}_])/u },
  { tag: "s", pattern: /(?<![\p{L}\p{N}~])~(?=[^\s~])([^~\n]*?[^\s~])~(?![\p{L}\p{N}~])/u },
  { tag: "a", pattern: /\b(https?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)\]*_~])/u, plain: true },
];

/** WhatsApp's formatting as a list of nodes; nothing in `text` can become markup of its own. */
function formatted(text) {
  const nodes = [];
  let done = 0;
  for (const fence of text.matchAll(FENCE)) {
    nodes.push(...blocks(text.slice(done, fence.index)), make("pre", {}, fence[1]));
    done = fence.index + fence[0].length;
  }
  return [...nodes, ...blocks(text.slice(done))];
}

/** Lines of one kind in a row belong together: a quote, a list, or lines as they are. */
function blocks(text) {
  const groups = [];
  for (const line of text ? text.split("\n").map(lineOf) : []) {
    if (groups.at(-1)?.[0].kind === line.kind) groups.at(-1).push(line);
    else groups.push([line]);
  }
  return groups.flatMap((group) => BLOCKS[group[0].kind](group));
}

function lineOf(line) {
  const [, quoted] = /^> (.*)$/u.exec(line) ?? [];
  if (quoted !== undefined) return { kind: "quote", text: quoted };
  const [, indent, bullet, item] = /^( *)([-*]|\d+\.) (.*)$/u.exec(line) ?? [];
  if (item === undefined) return { kind: "plain", text: line };
  return { kind: /\d/u.test(bullet) ? "numbers" : "bullets", text: item, bullet, deep: indent ? "deep" : null };
}

const entry = (line) => make("li", { class: line.deep }, ...inline(line.text));
const BLOCKS = {
  plain: (lines) => inline(lines.map((line) => line.text).join("\n")),
  quote: (lines) => [make("blockquote", {}, ...inline(lines.map((line) => line.text).join("\n")))],
  bullets: (lines) => [make("ul", {}, ...lines.map(entry))],
  numbers: (lines) => [make("ol", { start: parseInt(lines[0].bullet, 10) }, ...lines.map(entry))],
};

function inline(text) {
  const found = FORMATS.map((format) => ({ format, match: format.pattern.exec(text) }))
    .filter(({ match }) => match)
    .sort((one, other) => one.match.index - other.match.index)[0];
  if (!found) return text ? [document.createTextNode(text)] : [];
  const { format, match } = found;
  const inner = format.plain ? [document.createTextNode(match[1])] : inline(match[1]);
  const link = format.tag === "a" ? { href: match[1], target: "_blank", rel: "noopener noreferrer" } : {};
  return [
    ...inline(text.slice(0, match.index)),
    make(format.tag, link, ...inner),
    ...inline(text.slice(match.index + match[0].length)),
  ];
}

// ---------------------------------------------------------------- words and numbers

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const COUNT = new Intl.NumberFormat("en");

const time = (iso) => Date.parse(iso) || 0;
const words = (code) => String(code ?? "").replaceAll("_", " ").replace(/\bai\b/u, "AI");
const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const since = (at, start) => `+${COUNT.format(Math.max(0, Math.round(at - start)))} ms`;
const shortened = (id) => (id.length > 14 ? `${id.slice(0, 6)}…${id.slice(-4)}` : id);
const clipped = (text, length = 80) => (text.length > length ? `${text.slice(0, length - 1).trimEnd()}…` : text);
const initials = (name) => name.split(/\s+/).map((word) => word[0] ?? "").slice(0, 2).join("").toUpperCase();

function dayName(date) {
  const today = new Date();
  if (date.toDateString() === today.toDateString()) return "Today";
  today.setDate(today.getDate() - 1);
  return date.toDateString() === today.toDateString() ? "Yesterday" : DAY.format(date);
}

function idChip(id) {
  return make("abbr", { class: "id", title: id }, shortened(id));
}

// ---------------------------------------------------------------- the story of one person's messages

/** One card of the journey: the messages of one turn, and everything that became of them. */
class Card {
  constructor(key, start) {
    this.key = key;
    this.start = start;
    this.messages = new Map(); // sid -> number, null until recorded
    this.rows = new Map();
    this.state = { tone: "work", label: "webhook" };
    this.title = null;
    this.thinking = null;
    this.turn = null;
    this.finished = false;
  }

  put(key, row) {
    this.rows.set(key, { ...this.rows.get(key), ...row, key });
  }

  last(key, row) {
    const before = this.rows.get(key);
    this.rows.delete(key);
    this.put(key, { ...before, ...row });
  }

  is(tone, label) {
    this.state = { tone, label };
  }
}

const STATUS = {
  queued: { rank: 1, label: "queued" },
  sending: { rank: 2, label: "sending" },
  sent: { rank: 3, label: "sent", tone: "done" },
  delivered: { rank: 4, label: "delivered", tone: "done" },
  read: { rank: 5, label: "read", tone: "read" },
  undelivered: { rank: 6, label: "undelivered", tone: "bad" },
  failed: { rank: 6, label: "failed", tone: "bad" },
};

/** What the application logs, one entry per action: how it changes the story. */
const ACTIONS = {
  message_recorded(story, event) {
    const card = story.cardOf(event.message_id) ?? story.take(event.message_id, time(event.at));
    card.messages.set(event.message_id, event.number ?? null);
    card.put(`recorded:${event.message_id}`, {
      name: "Recorded", at: time(event.at), tone: "done", id: event.conversation,
      detail: event.number ? `as message ${event.number}` : "",
    });
    card.is("work", "recorded");
  },
  media_collected(story, event) {
    story.files(event, event.kept || event.refused ? "done" : "wait", [
      event.kept && `${plural(event.kept, "file")} kept`, event.in_words && `${event.in_words} in words`,
      event.refused && `${event.refused} refused`,
    ].filter(Boolean).join(" · ") || "nothing yet");
  },
  media_missing(story, event) {
    story.files(event, "wait", "a file cannot be had now");
  },
  turn_waits_for_files(story, event) {
    story.files(event, "wait", "the turn looks again in a moment");
  },
  reaction_kept(story, event) {
    const card = story.cardOf(event.message_id) ?? story.take(event.message_id, time(event.at));
    card.put("kept", { name: "Noted", at: time(event.at), tone: "done", detail: "a reaction that wants no answer" });
    card.finished = true;
    card.is("done", "noted");
  },
  message_duplicate(story, event) {
    const card = story.cardOf(event.message_id) ?? story.newest();
    card?.put(`duplicate:${event.id}`, {
      name: "Duplicate", at: time(event.at), tone: "quiet", id: event.message_id,
      detail: "known already: not recorded again, woken again",
    });
  },
  turn_woken(story, event) {
    const card = story.cardOf(event.message_id) ?? story.open ?? story.newest();
    const delay = Number(event.delay_seconds ?? 0) * 1000;
    if (!card || card.finished || card !== story.open || !delay) return;
    const several = card.messages.size > 1;
    card.last("waiting", {
      name: "Waiting", at: time(event.at), from: time(event.at), until: time(event.at) + delay, tone: "wait",
      detail: several ? "starts again with each message" : "in case there is more to come",
    });
    card.is("wait", "waiting");
  },
  wakeup_dropped(story, event) {
    const card = story.cardOf(event.message_id) ?? story.newest();
    if (!card) return;
    if (event.reason === "answer_on_its_way" && card === story.open && card.rows.has("waiting")) {
      card.put("waiting", { until: null, detail: "for the answer before this one" });
    }
    const times = (card.rows.get("dropped")?.times ?? 0) + 1;
    card.put("dropped", {
      name: "Wake-up", at: time(event.at), times, tone: "quiet",
      detail: `${times > 1 ? `${times} dropped` : "dropped"}: ${words(event.reason)}`,
    });
  },
  turn_started(story, event) {
    const sids = Array.isArray(event.message_ids) ? event.message_ids : [];
    const card = story.cardOf(sids.at(-1)) ?? story.open ?? story.create(`turn:${event.id}`, time(event.at));
    const turns = (card.rows.get("turn")?.turns ?? 0) + 1;
    const waiting = card.rows.get("waiting");
    if (waiting?.from) {
      card.put("waiting", { until: null, from: null, detail: waited(waiting, time(event.at)), tone: "done" });
    }
    card.last("turn", {
      name: "Turn", at: time(event.at), turns, tone: "work", busy: true,
      detail: `${span(event.first, event.last)}${turns > 1 ? `, attempt ${turns}` : ""}`,
    });
    card.turn = { first: event.first, last: event.last };
    card.thinking = time(event.at);
    card.is("work", "thinking");
  },
  turn_committed(story, event) {
    const card = story.thinkingCard() ?? story.open ?? story.newest();
    if (!card) return;
    card.put("turn", { busy: false, tone: "done" });
    card.put("committed", {
      name: "Committed", at: time(event.at), tone: "done",
      detail: [
        event.parts && plural(event.parts, "part"), event.model,
        event.input_tokens !== undefined &&
          `${COUNT.format(event.input_tokens)} + ${COUNT.format(event.output_tokens ?? 0)} tokens`,
        event.milliseconds !== undefined && `thought ${COUNT.format(Math.round(event.milliseconds))} ms`,
      ].filter(Boolean).join(" · "),
    });
    card.is("work", "answer ready");
    story.seal(card);
    story.answering = card;
  },
  turn_discarded(story, event) {
    const card = story.thinkingCard() ?? story.open ?? story.newest();
    if (!card) return;
    card.thinking = null;
    card.put("turn", { busy: false, tone: "quiet" });
    card.put(`discarded:${event.id}`, {
      name: "Discarded", at: time(event.at), tone: "wait", detail: words(event.reason) || "something newer came first",
    });
    card.is("wait", "waiting again");
  },
  turn_failed(story, event) {
    const card = story.thinkingCard() ?? story.open ?? story.newest();
    if (!card) return;
    card.thinking = null;
    card.put("turn", { busy: false, tone: "bad" });
    card.put(`failed:${event.id}`, {
      name: "Turn failed", at: time(event.at), tone: "bad", detail: words(event.error) || "back to the queue",
    });
    card.is("bad", "turn failed");
  },
  handed_off(story, event) {
    const card = story.thinkingCard() ?? story.open ?? story.newest();
    if (!card) return;
    if (card.rows.has("turn")) card.put("turn", { busy: false, tone: "done" });
    story.toPerson(card, `handed:${event.id}`, "Handed over", event);
  },
  passed_to_human(story, event) {
    const card = story.cardOf(event.message_id) ?? story.open ?? story.newest();
    if (card) story.toPerson(card, `passed:${event.id}`, "To a human", event);
  },
  unknown_sender(story, event) {
    story.aside(event, "unknown", { name: "Unknown", tone: "wait", detail: words(event.reason) || "no open conversation with this sender" });
  },
  fallback_sent(story, event) {
    story.aside(event, "fallback", { name: "Fallback", tone: "done", detail: "answered with the company's fallback text" }, "fallback");
  },
  fallback_suppressed(story, event) {
    story.aside(event, "fallback", { name: "No fallback", tone: "quiet", detail: "it was sent a short while ago" }, "no answer");
  },
  answer_claimed(story, event) {
    const card = story.answerCard(event);
    card.put(`claimed:${event.attempt ?? 1}`, {
      name: "Claimed", at: time(event.at), tone: "done",
      detail: event.attempt > 1 ? `attempt ${event.attempt}` : "this answer goes out once",
    });
    card.is("work", "sending");
  },
  part_posted(story, event) {
    const card = story.answers.get(event.provider_id) ?? story.answerCard(event);
    story.posted(card, event.provider_id, time(event.at), event.part);
  },
  answer_sent(story, event) {
    const card = story.answerCard(event);
    for (const sid of event.provider_ids ?? []) story.posted(card, sid, time(event.at));
    card.finished = true;
  },
  answer_refused(story, event) {
    story.outcome(event, "Refused", "bad", `the provider said no${event.code ? `, code ${event.code}` : ""}`, "refused");
  },
  answer_unconfirmed(story, event) {
    story.outcome(event, "Unconfirmed", "wait", "it may have gone out: not repeated until that is known", "unconfirmed");
  },
  answer_suppressed(story, event) {
    story.outcome(event, "Suppressed", "human", words(event.reason) || "the conversation changed hands", "suppressed");
  },
  answer_settled(story, event) {
    story.outcome(event, "Settled", "work", words(event.outcome), "settled");
  },
  rescue_woke(story, event) {
    story.newest()?.put(`rescue:${event.id}`, {
      name: "Rescue", at: time(event.at), tone: "wait", detail: `woke the ${words(event.what)}`,
    });
  },
  answer_delayed(story, event) {
    story.outcome(event, "Delayed", "wait", "the provider is busy, tried again later", "delayed");
  },
  stage_delayed(story, event) {
    story.setback(event, "Delayed", "wait", "delayed");
  },
  stage_failed(story, event) {
    story.setback(event, "Failed", "bad", "failed");
  },
  given_back(story, event) {
    const card = story.create(`back:${event.id}`, time(event.at));
    card.title = "Back to the AI";
    card.put("back", { name: "Given back", at: time(event.at), tone: "done", detail: "the AI answers again" });
    card.is("done", "given back");
  },
  status_received(story, event) {
    story.status(event.provider_id, event.status, time(event.at), {
      recorded: event.advanced === false ? "nothing new, ignored" : "recorded",
    });
  },
};

/** What the Twilio stand-in tells, one entry per kind. */
const KINDS = {
  inbound(story, event) {
    if (!story.cardOf(event.sid)) story.take(event.sid, time(event.at));
  },
  webhook(story, event) {
    story.webhook(event);
  },
  accepted(story, event) {
    const card = story.answers.get(event.sid) ?? story.answering ?? story.newest();
    if (!card) return;
    story.answers.set(event.sid, card);
    card.thinking = null;
    if (event.direction === "outbound-reply") story.replied(card, event.sid, time(event.at));
  },
  refused(story, event) {
    const card = story.answering ?? story.newest();
    card?.put(`refused:${event.id}`, {
      name: "Twilio", at: time(event.at), tone: "bad", detail: `refused${event.code ? `, code ${event.code}` : ""}`,
    });
  },
  status(story, event) {
    story.status(event.sid, event.status, time(event.at), { code: event.error_code ? `code ${event.error_code}` : null });
  },
  callback(story, event) {
    story.status(event.sid, event.message_status, time(event.at), { callback: `callback ${answered(event)}` });
  },
};

/** How a webhook or callback was answered: `200 in 12 ms`. */
function answered({ status, milliseconds }) {
  const took = milliseconds === undefined || milliseconds === null ? "" : ` in ${COUNT.format(Math.round(milliseconds))} ms`;
  return `${status ?? "no answer"}${took}`;
}

function span(first, last) {
  if (!first || !last) return "";
  return first === last ? `message ${first}` : `messages ${first} to ${last}`;
}

function waited(row, until) {
  return `${((until - row.from) / 1000).toFixed(1)} s without another message`;
}

/** Walks through the events of one person, in the order of their own clocks, and deals them out to cards. */
class Story {
  constructor(person, sids) {
    this.person = person;
    this.sids = sids;
    this.cards = [];
    this.bySid = new Map();
    this.answers = new Map();
    this.replies = new Set();
    this.conversations = new Set();
    this.webhooks = new Map(); // sid -> {status} of the latest delivery
    this.open = null;
    this.answering = null;
  }

  tell(events) {
    this.learn(events);
    for (const event of events) {
      if (event.source === "twilio") this.heardTwilio(event);
      else this.heardApplication(event);
    }
    return this;
  }

  /** Which conversations are this person's: the log lines that carry one of the person's message ids say so. */
  learn(events) {
    for (const event of events) {
      if (event.conversation && event.message_id && this.mine(event.message_id)) {
        this.conversations.add(event.conversation);
      }
    }
  }

  mine(sid) {
    return this.sids.get(sid) === this.person.address;
  }

  heardTwilio(event) {
    const mine = event.sid ? this.mine(event.sid) : [event.from, event.to].includes(this.person.address);
    if (mine) KINDS[event.kind]?.(this, event);
  }

  heardApplication(event) {
    if (event.action === "webhook_rejected") return this.rejected(event);
    const about = event.message_id ?? event.provider_id;
    const mine = event.conversation ? this.conversations.has(event.conversation) : about && this.mine(about);
    if (mine && ACTIONS[event.action]) ACTIONS[event.action](this, event);
  }

  create(key, start) {
    const card = new Card(key, start);
    this.cards.push(card);
    return card;
  }

  newest() {
    return this.cards.findLast((card) => !card.anonymous);
  }

  cardOf(sid) {
    return this.bySid.get(sid);
  }

  /** A message of the person: it joins the card that still waits, or opens one. */
  take(sid, at) {
    this.open ??= this.create(`message:${sid}`, at);
    this.bySid.set(sid, this.open);
    this.open.messages.set(sid, null);
    this.open.put(`webhook:${sid}`, { name: "Webhook", at, tone: "work", busy: true, id: sid, sid, detail: "" });
    return this.open;
  }

  webhook(event) {
    const card = this.cardOf(event.sid) ?? this.take(event.sid, time(event.at) - (event.milliseconds ?? 0));
    const first = !this.webhooks.has(event.sid);
    const good = event.status >= 200 && event.status < 300;
    const detail = answered(event);
    this.webhooks.set(event.sid, { good: good || this.webhooks.get(event.sid)?.good === true, status: event.status });
    if (first) card.put(`webhook:${event.sid}`, { busy: false, tone: good ? "done" : "bad", detail });
    else {
      card.put(`webhook:${event.sid}:${event.id}`, {
        name: "Redelivered", at: time(event.at), tone: good ? "quiet" : "bad", detail, id: event.sid,
      });
    }
    if (!good && first) card.is("bad", event.status === 403 ? "refused" : "not taken");
  }

  rejected(event) {
    const card = this.create(`rejected:${event.id}`, time(event.at));
    card.anonymous = true;
    card.title = "A refused webhook";
    card.put("rejected", {
      name: "Refused", at: time(event.at), tone: "bad",
      detail: `${words(event.reason) || "wrong signature"}: nothing is believed, nothing recorded`,
    });
    card.is("bad", "refused");
  }

  /** The card is dealt with; what its turn did not cover goes on waiting in a card of its own. */
  seal(card) {
    if (this.open !== card) return;
    this.open = null;
    const last = card.turn?.last;
    const late = [...card.messages].filter(([, number]) => last && number && number > last);
    for (const [sid, number] of late) this.move(sid, number, card);
  }

  move(sid, number, from) {
    const keys = [`webhook:${sid}`, `recorded:${sid}`];
    const rows = keys.map((key) => from.rows.get(key)).filter(Boolean);
    from.messages.delete(sid);
    keys.forEach((key) => from.rows.delete(key));
    this.open ??= this.create(`message:${sid}`, rows[0]?.at ?? from.start);
    this.bySid.set(sid, this.open);
    this.open.messages.set(sid, number);
    rows.forEach((row) => this.open.put(row.key, row));
    this.open.is("wait", "waiting");
  }

  thinkingCard() {
    return this.cards.find((card) => card.thinking !== null);
  }

  toPerson(card, key, name, event) {
    card.thinking = null;
    if (card.rows.get("waiting")?.until) card.put("waiting", { until: null, from: null, detail: "no longer", tone: "quiet" });
    card.put(key, { name, at: time(event.at), tone: "human", detail: words(event.reason) });
    card.is("human", "with a human");
    this.seal(card);
  }

  aside(event, key, row, label) {
    const card = this.cardOf(event.message_id) ?? this.open ?? this.newest();
    if (!card) return;
    card.put(key, { ...row, at: time(event.at) });
    card.is(row.tone === "done" ? "done" : "wait", label ?? row.name.toLowerCase());
    if (label) this.seal(card);
  }

  answerCard(event) {
    if (this.answering && !this.answering.finished) return this.answering;
    if (this.answering && event.action !== "answer_claimed") return this.answering;
    const card = this.create(`answer:${event.id}`, time(event.at));
    card.title = "An answer";
    this.answering = card;
    return card;
  }

  posted(card, sid, at, part) {
    if (!sid) return;
    this.answers.set(sid, card);
    card.thinking = null;
    if (card.rows.has(`posted:${sid}`)) return;
    card.put(`posted:${sid}`, { name: "Posted", at, tone: "done", id: sid, detail: part ? `part ${part}` : "" });
    if (card.state.tone === "work") card.is("done", "posted");
  }

  /** Twilio sends what the webhook's own answer asked for; nobody gets callbacks about it. */
  replied(card, sid, at) {
    this.replies.add(sid);
    card.put(`posted:${sid}`, { name: "Sent back", at, tone: "done", id: sid, detail: "as the webhook's answer (TwiML)" });
  }

  outcome(event, name, tone, detail, label) {
    const card = this.answerCard(event);
    card.thinking = null;
    card.put(`${name}:${event.id}`, { name, at: time(event.at), tone, detail });
    card.is(tone, label);
  }

  /** A stage that could not do its work: the queue gives it the message again. */
  setback(event, name, tone, label) {
    const card = this.cardOf(event.message_id);
    if (!card) return;
    card.thinking = null;
    card.put(`setback:${event.id}`, {
      name, at: time(event.at), tone, detail: `${words(event.error)}: the queue tries again`,
    });
    card.is(tone, label);
  }

  files(event, tone, detail) {
    const card = this.cardOf(event.message_id) ?? this.open ?? this.newest();
    card?.put("files", { name: "Files", at: card.rows.get("files")?.at ?? time(event.at), tone, detail });
  }

  status(sid, word, at, news) {
    const card = this.answers.get(sid);
    const known = STATUS[word];
    if (!card || !known || known.rank < 3) return;
    const key = `status:${sid}:${word}`;
    const row = card.rows.get(key);
    const notes = { ...row?.notes, ...news };
    const detail = [notes.code, notes.callback, notes.recorded].filter(Boolean).join(" · ");
    card.put(key, {
      name: known.label[0].toUpperCase() + known.label.slice(1), at: row?.at ?? at, tone: known.tone, id: sid,
      notes, detail: detail || (this.replies.has(sid) ? "no callback for such an answer" : "no callback yet"),
    });
    if ((STATUS[card.state.label]?.rank ?? 0) < known.rank) card.is(known.tone, known.label);
  }
}

// ---------------------------------------------------------------- what the page knows

const state = {
  company: { name: "", project: "", own: {} },
  people: [],
  chosen: null,
  events: [],
  feed: null,
  sids: new Map(), // message id -> the person's address
  messages: new Map(), // the person's address -> messages
  asked: 0,
  shown: 0,
  replying: null, // the message id that the next message replies to
  skew: 0, // the server's clock minus ours, milliseconds
};

const now = () => Date.now() + state.skew;
const withAddress = (person) => ({
  ...person,
  address: person.channel === "whatsapp" ? `whatsapp:${person.number}` : person.number,
});
const own = (person) => state.company.own[person.channel];

async function ask(path, body) {
  const options = body === undefined
    ? {}
    : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(path, options);
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `The stand-in answered ${response.status}.`);
  return answer;
}

async function refresh() {
  const person = state.chosen;
  const asked = ++state.asked;
  const query = new URLSearchParams({ person: person.address, own: own(person) });
  const { messages } = await ask(`/api/messages?${query}`);
  if (asked < state.shown) return;
  state.shown = asked;
  for (const message of messages) state.sids.set(message.sid, person.address);
  state.messages.set(person.address, messages);
  render();
}

let refreshing = null;
function refreshSoon() {
  refreshing ??= setTimeout(() => {
    refreshing = null;
    refresh().catch((error) => say(error.message));
  }, 40);
}

function heard(event) {
  state.events.push(event);
  if (state.events.length > 5000) state.events.shift();
  if (event.source === "twilio") heardTwilio(event);
  renderSoon();
}

function heardTwilio(event) {
  for (const address of [event.from, event.to]) {
    if (event.sid && address && !Object.values(state.company.own).includes(address)) state.sids.set(event.sid, address);
  }
  if (!event.sid || !state.sids.has(event.sid) || state.sids.get(event.sid) === state.chosen?.address) refreshSoon();
}

function listen() {
  const source = new EventSource("/events");
  source.addEventListener("open", () => linked("live", "live"));
  source.addEventListener("error", () => linked("lost", "connection lost, trying again"));
  source.addEventListener("hello", (message) => {
    const { feed } = JSON.parse(message.data);
    if (state.feed !== feed) state.events = [];
    state.feed = feed;
  });
  source.addEventListener("message", (message) => heard(JSON.parse(message.data)));
}

function linked(status, text) {
  $("link").dataset.state = status;
  $("link").textContent = text;
}

// ---------------------------------------------------------------- showing it

let rendering = null;
function renderSoon() {
  rendering ??= setTimeout(() => {
    rendering = null;
    render();
  }, 30);
}

function render() {
  const person = state.chosen;
  if (!person) return;
  const events = [...state.events].sort((one, other) => time(one.at) - time(other.at) || one.id - other.id);
  const story = new Story(person, state.sids).tell(events);
  const messages = state.messages.get(person.address) ?? [];
  renderChat(messages, story);
  renderJourney(story, new Map(messages.map((message) => [message.sid, message.body || titleOf(message)])));
  $("repeat").disabled = !messages.some((message) => message.direction === "inbound");
}

/** Make the children of `list` match `items`, touching only those whose content has changed. */
function reconcile(list, items, build) {
  const before = new Map([...list.children].map((child) => [child.dataset.key, child]));
  const after = items.map((item) => {
    const content = JSON.stringify(item);
    const child = before.get(item.key);
    if (child?.content === content) return child;
    const fresh = build(item);
    fresh.dataset.key = item.key;
    fresh.content = content;
    if (!child && list.dataset.filled) fresh.classList.add("fresh");
    return fresh;
  });
  const same = after.length === list.children.length && after.every((child, index) => child === list.children[index]);
  if (!same) list.replaceChildren(...after);
  list.dataset.filled = "yes";
  return !same;
}

// the chat

function renderChat(messages, story) {
  const chat = $("chat");
  const atEnd = chat.scrollHeight - chat.scrollTop - chat.clientHeight < 80;
  const changed = reconcile($("bubbles"), bubbleItems(messages, story), buildBubble);
  const typing = isTyping(story);
  const appeared = typing && $("typing").hidden;
  $("nothing").hidden = messages.length > 0;
  $("nothing").textContent = nothingYet(story.person);
  $("typing").hidden = !typing;
  $("typing-text").textContent = `${state.company.name} is typing…`;
  $("contact-line").textContent = typing ? "typing…" : contactLine(story.person);
  if ((changed || appeared) && atEnd) chat.scrollTop = chat.scrollHeight;
}

function nothingYet(person) {
  const outcome = { ai: "the AI will answer", human: "a human has this conversation" }[person.conversation] ?? "this number has no conversation";
  return `Nothing written yet. Write as ${person.name}: ${outcome}.`;
}

function isTyping(story) {
  return story.cards.some((card) => card.thinking !== null && now() - card.thinking < 180_000);
}

function bubbleItems(messages, story) {
  const items = [];
  const bySid = new Map(messages.map((message) => [message.sid, message]));
  const reactions = reactionsOf(messages, bySid);
  let day = null;
  let author = null;
  for (const message of messages) {
    if (kindOf(message) === "reaction" && bySid.has(repliesTo(message))) continue;
    const date = new Date(time(message.created_at));
    if (date.toDateString() !== day) {
      day = date.toDateString();
      author = null;
      items.push({ key: `day:${day}`, day: dayName(date) });
    }
    const mine = message.direction === "inbound";
    items.push({ key: message.sid, mine, tail: author !== mine, channel: story.person.channel, ...bubble(message, story), ...contents(message, bySid), reactions: reactions.get(message.sid) ?? "" });
    author = mine;
  }
  return items;
}

const TITLES = { image: "Picture", audio: "Voice note", video: "Video", sticker: "Sticker", contacts: "Contact", location: "Location" };
const titleOf = (message) => TITLES[kindOf(message)] ?? (message.media?.length ? "File" : "");
const kindOf = (message) => message.params?.MessageType ?? "";
const repliesTo = (message) => message.params?.OriginalRepliedMessageSid ?? "";

/** The emoji on each message; a person has one reaction to a message, and an empty one takes it back. */
function reactionsOf(messages, bySid) {
  const found = new Map();
  for (const message of messages) {
    if (kindOf(message) === "reaction" && bySid.has(repliesTo(message))) found.set(repliesTo(message), message.body);
  }
  return found;
}

/** What a message is beside its text. */
function contents(message, bySid) {
  const params = message.params ?? {};
  const replied = kindOf(message) === "reaction" ? null : bySid.get(repliesTo(message));
  const isDocument = kindOf(message) === "document";
  return {
    body: isDocument ? "" : message.body ?? "",
    files: (message.media ?? []).map((url, at) => fileOf(url, params[`MediaContentType${at}`] ?? "", isDocument ? message.body : "")),
    quote: replied ? clipped(replied.body || "a file", 120) : repliesTo(message) && kindOf(message) !== "reaction" ? "an earlier message" : "",
    place: params.Latitude ? [params.Label, params.Address, `${params.Latitude}, ${params.Longitude}`].filter(Boolean).join(" · ") : "",
    note: [
      params.Forwarded === "true" && "Forwarded",
      params.ButtonPayload && "Button pressed",
      kindOf(message) === "reaction" && "Reaction",
    ].filter(Boolean).join(" · "),
  };
}

/** A file that the person sent lies at the stand-in; one that the company sends, wherever its URL says. */
function fileOf(url, type, name) {
  const [, sid] = /\/Media\/(ME[0-9a-f]{32})$/iu.exec(url) ?? [];
  return { source: sid ? `/api/media/${sid}` : null, url, type, name: name || (type.includes("vcard") ? "Contact card" : "File") };
}

function buildFile({ source, url, type, name }) {
  const kind = type.split("/")[0];
  if (source && kind === "image") return make("img", { src: source, alt: "Picture" });
  if (source && kind === "audio") return make("audio", { src: source, controls: "", preload: "metadata", "aria-label": "Voice note" });
  if (source && kind === "video") return make("video", { src: source, controls: "", preload: "metadata", "aria-label": "Video" });
  const link = { href: source ?? url, target: "_blank", rel: "noopener noreferrer", download: source ? name : null };
  return make("a", link, make("span", { "aria-hidden": "true" }, type.includes("vcard") ? "👤" : "📄"), name);
}

function bubble(message, story) {
  const mark = message.direction === "inbound" ? ownMark(message, story) : companyMark(message);
  return { at: message.created_at, mark };
}

/** The person's own message: one tick when our webhook took it. */
function ownMark(message, story) {
  const webhook = story.webhooks.get(message.sid);
  if (webhook && !webhook.good) return { look: "failed", word: `not taken (${webhook.status ?? "no answer"})`, shown: true };
  const onItsWay = story.cardOf(message.sid) && !webhook;
  return onItsWay ? { look: "clock", word: "on its way" } : { look: "sent", word: "sent" };
}

/** The company's answer: what the provider knows about its delivery. */
function companyMark(message) {
  const look = { delivered: "delivered", read: "read", failed: "failed", undelivered: "failed", sent: "sent" }[message.status] ?? "clock";
  const code = message.error_code ? ` (${message.error_code})` : "";
  return { look, word: `${message.status ?? "queued"}${code}`, shown: true };
}

const PATHS = {
  clock: ["M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM8 4.5V8l2.4 1.6"],
  sent: ["m3 8.6 3.2 3.2 6.6-7.4"],
  delivered: ["m.8 8.6 3.2 3.2 6.6-7.4", "m7.6 11 .9.8 6.7-7.4"],
  read: ["m.8 8.6 3.2 3.2 6.6-7.4", "m7.6 11 .9.8 6.7-7.4"],
  failed: ["M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM8 4.4v4.4M8 11v.6"],
};

function tick({ look, word }) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of Object.entries({ viewBox: "0 0 16 16", class: `tick ${look}`, role: "img", "aria-label": word })) {
    svg.setAttribute(name, value);
  }
  for (const d of PATHS[look]) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

function buildBubble(item) {
  if (item.day) return make("li", { class: "day" }, make("span", {}, item.day));
  const text = item.channel === "whatsapp" ? formatted(item.body) : [document.createTextNode(item.body)];
  const meta = make(
    "span", { class: "meta" },
    item.mark.shown ? make("span", { class: "word" }, item.mark.word) : null,
    make("time", { datetime: item.at, title: EXACT.format(time(item.at)) }, CLOCK.format(time(item.at))),
    tick(item.mark),
  );
  const who = make("span", { class: "hidden" }, item.mine ? "You: " : `${state.company.name}: `);
  const reacted = item.reactions ? " reacted" : "";
  return make(
    "li", { class: `bubble ${item.mine ? "mine" : "theirs"}${item.tail ? " tail" : ""}${reacted}`, "data-look": item.mark.look },
    who,
    item.note ? make("span", { class: "note" }, item.note) : null,
    item.quote ? make("span", { class: "quote" }, item.quote) : null,
    item.files.length ? make("div", { class: "files" }, ...item.files.map(buildFile)) : null,
    item.place ? make("span", { class: "place" }, make("span", { "aria-hidden": "true" }, "📍"), item.place) : null,
    make("div", { class: "text" }, ...text), meta,
    item.reactions ? make("span", { class: "reactions", role: "img", "aria-label": `Reaction ${item.reactions}` }, item.reactions) : null,
    item.mine || item.channel !== "whatsapp" ? null : acts(item),
  );
}

/** What a person can do with a message of the company on WhatsApp. */
function acts(item) {
  const reply = make("button", { type: "button", class: "reply", "aria-label": "Reply to this message" }, "↩");
  const react = make("button", { type: "button", class: "react", "aria-label": "React with a thumb" }, "👍");
  reply.addEventListener("click", () => replyTo(item.key, item.body));
  trick(react, () => send({ reaction: { emoji: item.reactions ? "" : "👍", to: item.key } }));
  return make("span", { class: "acts" }, reply, react);
}

// the journey

function renderJourney(story, texts) {
  const items = story.cards.map((card) => cardItem(card, texts)).reverse();
  reconcile($("cards"), items, buildCard);
  $("empty").hidden = items.length > 0;
  $("beat").hidden = !story.cards.some((card) => card.thinking !== null || card.rows.get("waiting")?.until);
  tickDown();
}

function cardItem(card, texts) {
  const rows = [...card.rows.values()].map((row) => ({
    ...row, text: row.sid ? clipped(texts.get(row.sid) ?? "") : null, since: since(row.at, card.start),
  }));
  return { key: card.key, start: card.start, title: card.title ?? cardTitle(card), state: card.state, rows, steps: card.messages.size ? progress(card) : [] };
}

const STAGES = ["webhook", "recorded", "waiting", "turn", "committed", "posted", "status"];

/** How far the card has come, one tone per stage; null where it has not been. */
function progress(card) {
  const rows = [...card.rows.values()];
  const tones = STAGES.map((stage) => rows.findLast((row) => row.key.split(":")[0] === stage && row.tone !== "quiet")?.tone ?? null);
  const ahead = tones.findLastIndex(Boolean) + 1;
  return card.state.tone === "human" ? tones.map((tone, index) => (index === ahead ? "human" : tone)) : tones;
}

function cardTitle(card) {
  const numbers = [...card.messages.values()].filter(Boolean);
  if (!numbers.length) return card.messages.size > 1 ? `${card.messages.size} messages` : "A message";
  const [first, last] = [Math.min(...numbers), Math.max(...numbers)];
  return first === last ? `Message ${first}` : `Messages ${first} to ${last}`;
}

function buildCard(item) {
  const title = make(
    "header", {},
    make("h3", {}, item.title),
    make("time", { datetime: new Date(item.start).toISOString(), title: EXACT.format(item.start) }, CLOCK.format(item.start)),
    make("span", { class: `pill ${item.state.tone}` }, item.state.label),
  );
  const steps = item.steps.map((tone) => make("i", { class: tone ?? "ahead" }));
  return make(
    "li", { class: `card ${item.state.tone}` }, title,
    steps.length ? make("div", { class: "steps", "aria-hidden": "true" }, ...steps) : null,
    make("ol", { class: "rows" }, ...item.rows.map(buildRow)),
  );
}

function buildRow(row) {
  const detail = make("span", { class: row.text ? "detail quoted" : "detail" });
  if (row.text) detail.append(make("q", {}, row.text), " ");
  if (row.detail) detail.append(make("span", {}, row.detail));
  if (row.until) {
    detail.append(make("span", { class: "countdown" },
      make("span", { class: "bar" }, make("i", {})),
      make("b", { class: "left", "data-from": row.from, "data-until": row.until })));
  }
  return make(
    "li", { class: `row ${row.tone}${row.busy ? " busy" : ""}`, "data-stage": row.key.split(":")[0] },
    make("span", { class: "dot", "aria-hidden": "true" }),
    make("span", { class: "name" }, row.name), detail, row.id ? idChip(row.id) : null,
    make("span", { class: "ms", title: new Date(row.at).toISOString() }, row.since),
  );
}

function tickDown() {
  for (const left of document.querySelectorAll(".left")) {
    const until = Number(left.dataset.until);
    const from = Number(left.dataset.from);
    const remaining = Math.max(0, until - now());
    left.textContent = remaining ? `${(remaining / 1000).toFixed(1)} s` : "any moment";
    left.previousElementSibling.firstElementChild.style.transform = `scaleX(${remaining / Math.max(1, until - from)})`;
  }
}

// ---------------------------------------------------------------- people

const STRANGERS = "phone.strangers";
const CONVERSATIONS = { ai: "the AI answers", human: "a human answers", none: "no conversation" };

function strangers() {
  try {
    return JSON.parse(sessionStorage.getItem(STRANGERS) ?? "[]");
  } catch {
    return [];
  }
}

function contactLine(person) {
  return [state.company.project, own(person)?.replace("whatsapp:", "")].filter(Boolean).join(" · ");
}

function renderPeople() {
  $("people").replaceChildren(...state.people.map(buildPerson));
}

function buildPerson(person, index) {
  const input = make("input", { type: "radio", name: "person", id: `person-${index}`, value: person.address });
  input.checked = person.address === state.chosen?.address;
  input.addEventListener("change", () => choose(person));
  return make(
    "div", { class: "person" }, input,
    make("label", { for: `person-${index}` },
      make("span", { class: "avatar", "aria-hidden": "true", "data-hue": String(index % 6) }, person.name === person.number ? "?" : initials(person.name)),
      make("span", { class: "who" },
        make("b", {}, person.name),
        make("span", {}, person.name === person.number ? "" : person.number),
        make("small", {}, [person.channel === "whatsapp" ? "WhatsApp" : "SMS", CONVERSATIONS[person.conversation]].filter(Boolean).join(" · ")))),
  );
}

function choose(person) {
  state.chosen = person;
  replyTo(null);
  toggleAttach(false);
  history.replaceState(null, "", `#${encodeURIComponent(person.address)}`);
  for (const input of document.querySelectorAll("input[name=person]")) input.checked = input.value === person.address;
  $("device").dataset.channel = person.channel;
  $("contact-name").textContent = state.company.name;
  $("contact-avatar").textContent = initials(state.company.name);
  $("contact-channel").textContent = person.channel === "whatsapp" ? "WhatsApp" : "SMS";
  $("journey-line").textContent = `What ${person.name} wrote, on its way through the stages. Newest first.`;
  for (const list of [$("bubbles"), $("cards")]) {
    list.replaceChildren();
    delete list.dataset.filled;
  }
  render();
  refreshSoon();
}

function chooseStranger(event) {
  event.preventDefault();
  const number = $("stranger-number").value.replace(/[\s().-]/g, "");
  if (!/^\+[1-9]\d{6,14}$/.test(number)) {
    say("A number begins with + and the country, such as +447700900123.");
    $("stranger-number").focus();
    return;
  }
  const stranger = withAddress({ name: number, number, channel: $("stranger-channel").value, conversation: "none" });
  const known = state.people.find((person) => person.address === stranger.address);
  if (!known) {
    state.people.push(stranger);
    sessionStorage.setItem(STRANGERS, JSON.stringify([...strangers(), stranger]));
  }
  $("stranger").open = false;
  choose(known ?? stranger);
  renderPeople();
  $("text").focus();
}

// ---------------------------------------------------------------- writing

const BURSTS = [
  ["Hi!", "I have a question about the interview", "Is it still on Thursday at ten?"],
  ["Sorry, one more thing", "the job says *hybrid*", "how many days in the office is that?"],
  ["Hello again", "I found a newer version of my CV", "shall I send it to you here?"],
];
let bursts = 0;

const draft = (body) => ({
  from: state.chosen.address, to: own(state.chosen), body,
  profile_name: state.chosen.name === state.chosen.number ? "" : state.chosen.name,
});

async function write(body) {
  await send({ body });
}

/** Sends what `content` says, as a reply if one was begun. */
async function send(content) {
  const person = state.chosen;
  const reply = state.replying && !content.reaction ? { reply_to: state.replying } : {};
  const { sid } = await ask("/api/messages", { ...draft(content.body ?? ""), ...reply, ...content });
  if (reply.reply_to) replyTo(null);
  state.sids.set(sid, person.address);
  await refresh();
  $("chat").scrollTop = $("chat").scrollHeight;
}

function replyTo(sid, text = "") {
  state.replying = sid;
  $("replying").hidden = !sid;
  $("replying-text").textContent = clipped(text, 90);
  if (sid) $("text").focus();
}

// what is not text

const PLACE = { latitude: 51.5007, longitude: -0.1246, label: "Big Ben", address: "London SW1A 0AA" };
const CONTACT = { name: "Grace Hopper", number: "+447700900177" };
const SAID = "Hello, I cannot write now, I am on the train. I was travelling between March and September.";
const LARGEST_FILE = 16_000_000;

function toggleAttach(open = $("attach").hidden) {
  $("attach").hidden = !open;
  $("plus").setAttribute("aria-expanded", String(open));
}

/** What is written in the field, which is empty afterwards. */
function takeText() {
  const text = $("text").value.trim();
  $("text").value = "";
  grow();
  return text;
}

async function sendFile(file) {
  if (file.size > LARGEST_FILE) throw new Error("A file may have 16 MB at most.");
  const bytes = new Uint8Array(await file.arrayBuffer());
  let binary = "";
  for (let at = 0; at < bytes.length; at += 0x8000) binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  const sent = { content: btoa(binary), content_type: file.type || "application/octet-stream", name: file.name };
  await send({ body: takeText(), files: [sent] });
}

function wireAttach() {
  $("plus").addEventListener("click", () => toggleAttach());
  $("replying-off").addEventListener("click", () => replyTo(null));
  $("attach-file").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", async () => {
    const [file] = $("file").files;
    try {
      if (file) await sendFile(file);
    } catch (error) {
      say(error.message);
    }
    $("file").value = "";
    toggleAttach(false);
  });
  const kinds = {
    voice: () => ({ files: [{ says: takeText() || SAID }] }),
    location: () => ({ location: PLACE }),
    contact: () => ({ contact: CONTACT }),
    button: () => ({ button: { text: takeText() || "Yes, please", payload: "yes" } }),
  };
  for (const [kind, content] of Object.entries(kinds)) {
    trick($(`attach-${kind}`), async () => {
      await send(content());
      toggleAttach(false);
    });
  }
}

async function submit(event) {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  grow();
  try {
    await write(text);
  } catch (error) {
    $("text").value ||= text;
    say(error.message);
  }
}

async function burst() {
  for (const body of BURSTS[bursts++ % BURSTS.length]) {
    await write(body);
    await new Promise((done) => setTimeout(done, 900));
  }
}

async function repeat() {
  const messages = state.messages.get(state.chosen.address) ?? [];
  const last = messages.findLast((message) => message.direction === "inbound");
  if (!last) return;
  const { webhook } = await ask("/api/repeat", { sid: last.sid });
  say(`The same webhook again: ${outcome(webhook)}. The message is not recorded twice.`);
}

async function forge() {
  const { webhook } = await ask("/api/forged", draft($("text").value.trim() || "Please change my bank details"));
  say(`A webhook with a wrong signature: ${outcome(webhook)}.`);
}

function outcome(webhook) {
  if (!webhook?.status) return "no answer";
  return `answered ${webhook.status} in ${Math.round(webhook.milliseconds ?? 0)} ms`;
}

let toast = null;
function say(text) {
  clearTimeout(toast);
  $("toast").textContent = text;
  $("toast").classList.add("shown");
  toast = setTimeout(() => $("toast").classList.remove("shown"), 6000);
}

function trick(button, act) {
  button.addEventListener("click", async () => {
    button.setAttribute("aria-busy", "true");
    button.disabled = true;
    try {
      await act();
    } catch (error) {
      say(error.message);
    }
    button.disabled = false;
    button.removeAttribute("aria-busy");
  });
}

function grow() {
  const text = $("text");
  text.style.height = "auto";
  text.style.height = `${Math.min(text.scrollHeight + 2, 140)}px`;
}

// ---------------------------------------------------------------- tabs of the narrow window

function showTab(name) {
  document.body.dataset.tab = name;
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const selected = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(selected));
    tab.tabIndex = selected ? 0 : -1;
  }
}

/** Side by side the two are plain regions; one at a time they are panels of tabs. */
function wirePanels() {
  const narrow = matchMedia("(max-width: 760px)");
  const set = () => ["phone", "journey"].forEach((id) => {
    if (narrow.matches) $(id).setAttribute("role", "tabpanel");
    else $(id).removeAttribute("role");
  });
  narrow.addEventListener("change", set);
  set();
}

function wireTabs() {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  for (const tab of tabs) {
    tab.addEventListener("click", () => showTab(tab.getAttribute("aria-controls")));
    tab.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      const other = tabs[(tabs.indexOf(tab) + 1) % tabs.length];
      showTab(other.getAttribute("aria-controls"));
      other.focus();
    });
  }
}

// ---------------------------------------------------------------- begin

function wire() {
  $("write").addEventListener("submit", submit);
  $("text").addEventListener("input", grow);
  $("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      $("write").requestSubmit();
    }
  });
  $("stranger-form").addEventListener("submit", chooseStranger);
  wireAttach();
  trick($("burst"), burst);
  trick($("repeat"), repeat);
  trick($("forged"), forge);
  wireTabs();
  wirePanels();
  setInterval(tickDown, 100);
}

async function begin() {
  wire();
  const { now: serverNow, company, people } = await ask("/api/people");
  state.skew = time(serverNow) - Date.now();
  state.company = company;
  state.people = [...people.map(withAddress), ...strangers()];
  document.title = `Phone · ${company.name}`;
  const wanted = decodeURIComponent(location.hash.slice(1));
  choose(state.people.find((person) => person.address === wanted) ?? state.people[0]);
  renderPeople();
  listen();
}

begin().catch((error) => say(error.message));

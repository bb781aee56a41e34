"""One answer as endpoints send it: in pieces or as plain JSON, and why it ended, in whichever words."""

import json
from dataclasses import dataclass, field

STOP, LENGTH, FILTERED = "stop", "length", "content_filter"
# Other servers' words for these, in lower case. What is in no set is a stop: `eos` (TGI), `eos_token`,
# `stop_sequence`, `end_turn` (Anthropic), `stop` in any spelling (Gemini), '' and null.
LENGTHS = {LENGTH, "max_tokens", "max_length", "model_length", "max_output_tokens", "token_limit"}
FILTERS = {FILTERED, "content_filtered", "safety", "refusal", "recitation", "prohibited_content"}
BROKEN = {"error", "abort", "aborted", "cancelled", "insufficient_system_resource"}


@dataclass(frozen=True)
class Answer:
    """finish: STOP, LENGTH or FILTERED. tokens: of question and answer, as billed."""

    text: str
    finish: str
    tokens: int


class Failed(Exception):
    """A question that got no answer. `transient`: another try might. `free`: it cost nothing."""

    def __init__(self, outcome: str, transient: bool, detail: str = "", free: bool = False):
        super().__init__(detail or outcome)
        self.outcome, self.transient, self.free = outcome, transient, free
        self.wait = 0.0


@dataclass
class Received:
    """What has come of an answer so far. reason: its finish_reason, as sent. tokens: as the endpoint
    counts them, 0 while it hasn't said."""

    parts: list[str] = field(default_factory=list)
    characters: int = 0
    reason: object = None
    tokens: int = 0

    def add(self, choice: object, content: object) -> None:
        """A piece of the answer: a choice and the content of its delta or message."""
        self.parts.append(text_of(content))
        self.characters += len(self.parts[-1])
        self.reason = _get(choice, "finish_reason") or self.reason

    def bill(self, usage: object) -> None:
        """What the endpoint says that question and answer cost; the last word counts."""
        total = _get(usage, "total_tokens")
        if isinstance(total, int) and not isinstance(total, bool) and total > 0:
            self.tokens = total

    def add_json(self, raw: bytes) -> None:
        """The whole of an answer that came as plain JSON. Raises ValueError ... where it is none."""
        found = json.loads(raw)
        if "choices" not in found and found.get("error"):
            error = found["error"]
            raise Failed("error in the answer", True, str(_get(error, "message") or error))
        self.bill(found.get("usage"))
        choice = found["choices"][0]
        self.add(choice, choice["message"]["content"])

    def answer(self, whole: bool) -> Answer:
        """The answer. whole: its last byte came, so that no reason is as good as one.

        Raises Failed for one that is cut, and for an ending without a word of text.
        """
        text = "".join(self.parts)
        text.encode()  # a lone surrogate is no text
        reason = str(self.reason or "").strip().lower()
        if reason in BROKEN:
            raise Failed(f"ended with {reason!r}", True)
        if not reason and not whole:
            raise Failed("cut stream", True)
        if reason in LENGTHS or reason in FILTERS:
            return Answer(text, LENGTH if reason in LENGTHS else FILTERED, self.tokens)
        if not text and reason != STOP:
            raise Failed("no text", True, f"no text came, and finish_reason {self.reason!r}")
        return Answer(text, STOP, self.tokens)


def text_of(content: object) -> str:
    """A content as text: '' for null; of parts, those of text. Raises TypeError for anything else."""
    if content is None:
        return ""
    if isinstance(content, list) and all(isinstance(_get(part, "type"), str) for part in content):
        return "".join(text_of(_get(p, "text")) for p in content if _get(p, "type") == "text")
    if not isinstance(content, str):
        raise TypeError(f"content is {type(content).__name__}")
    return content


def _get(found: object, name: str) -> object:
    return found.get(name) if isinstance(found, dict) else getattr(found, name, None)

"""What no text may hold that a model has sent: control characters, special tokens, links, endless repeats.

Nothing is cut out of a text to make it pass: it is refused as it came.
"""

import regex

from polylm_jax.corpus import invisible

# All of Cc but line feed and tab; what no font has.
_CONTROL = regex.compile(r"(?V1)[\p{Cc}--[\n\t]]")
_BROKEN = regex.compile(r"[\p{Cs}\p{Co}\p{Cn}\uFFFD]")
_MARKS = regex.compile(r"\p{M}{9,}")  # "Zalgo": no script stacks so many on a letter

# What tokenizers and chat templates read as more than text.
SPECIAL = regex.compile(
    r"<[|｜][^<>\n]{1,60}[|｜]>"  # <|user|>, <|endoftext|>, <|im_start|>
    r"|</?s>|<(?:pad|unk|bos|eos|mask|cls|sep|eop|eod|sop)>"
    r"|<(?:start|end)_of_\w{1,30}>|<extra_id_\d+>|<unused\d+>|<0x[0-9A-Fa-f]{2}>"
    r"|\[/?INST\]|<</?SYS>>|\[(?:CLS|SEP|PAD|MASK|UNK|BOS|EOS|gMASK)\]"
    r"|</?think(?:ing)?>|\[/?THINK\]|◁/?think▷"  # a model's reasoning
    r"|\u2581"  # SentencePiece's own space
    r"|^\s*#{2,4}\s*(?:Instruction|Response|Input|Output|Human|Assistant|User|System)\b\s*:?"
    r"|^(?:Human|Assistant):\s",
    regex.MULTILINE | regex.IGNORECASE,
)
LINK = regex.compile(
    r"(?:https?|ftp|file|javascript|data)://?\S|javascript:|\bwww\.\w|\]\([^)\s]{3,}\)"
    r"|(?<![\w@.])(?:[a-z0-9-]+\.)+(?:com|org|net|edu|gov|info|io|co|ai|ru|de|fr|es|it|jp|kr|cn"
    r"|br|pt|th|vn|id|pl|nl|tr|il|uk)(?:/\S*|(?![\w.]))",
)
_REPEAT = regex.compile(r"([^\n]{1,40}?)\1{9,}")
_LETTER = regex.compile(r"\p{L}")
_SAME_LINES = regex.compile(r"^(.*\p{L}.*)\n(?:\s*\1\s*(?:\n|\Z)){4}", regex.MULTILINE)


def unsafe(text: str) -> str:
    """What a text holds that is no text, '' for nothing."""
    if invisible.turned(text):
        return "a mark that turns the direction of text"
    for pattern, reason in (
        (_CONTROL, "a control character"),
        (_BROKEN, "characters of a broken encoding"),
        (_MARKS, "a heap of marks on one letter"),
        (SPECIAL, "a special token"),
    ):
        if pattern.search(text):
            return reason
    return "invisible characters" if invisible.hidden(text) else ""


def repeats(text: str) -> bool:
    """Whether a piece with a letter comes ten times in a row, or a line five times."""
    if _SAME_LINES.search(text):
        return True
    return any(_LETTER.search(found[1]) for found in _REPEAT.finditer(text))


def has_link(text: str) -> bool:
    """Whether an address of a website stands in a text, with or without its scheme."""
    return bool(LINK.search(text))

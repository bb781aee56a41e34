"""How a conversation is written as text: what stands round the questions, and what the model answers.

An answer is closed by `</s>`, also one that is followed by another question.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from polylm_jax.errors import InputError, nearest
from tasks.instructions.conversations import ASSISTANT, SYSTEM, USER, Message

CONTENT = "{content}"


@dataclass(frozen=True)
class Template:
    """Text round the turns; `{content}` is what was said.

    user: a question, up to where its answer begins. between: what parts an answer from the next
    question. system: instructions that stand before all.
    """

    user: str
    between: str = "\n"
    system: str = CONTENT + "\n\n"

    def __post_init__(self):
        for field in ("user", "system"):
            if getattr(self, field).count(CONTENT) != 1:
                raise InputError(
                    f"template's {field} = {getattr(self, field)!r}: write {CONTENT} in it, once."
                )

    def segments(self, conversation: Sequence[Message]) -> list[tuple[str, bool]]:
        """The text in order, each piece with whether it is an answer.

        >>> Template("Q: {content}\\nA: ").segments([("user", "1 + 1?"), ("assistant", "2")])
        [('Q: 1 + 1?\\nA: ', False), ('2', True)]
        """
        segments, waiting = [], ""
        for role, content in conversation:
            if role == ASSISTANT:
                segments += [(waiting, False), (content, True)]
                waiting = self.between
            else:
                form = self.system if role == SYSTEM else self.user
                waiting += form.replace(CONTENT, content)
        return segments

    def jinja(self) -> str:
        """The same as a chat template of transformers, with `</s>` as its `eos_token`.

        What the tokenizer reads between turns is `</s>` as text unless it is told otherwise:
        `apply_chat_template(..., tokenizer_kwargs={"split_special_tokens": False})`.
        """
        system, user = (_around(form) for form in (self.system, self.user))
        return (
            "{%- for message in messages -%}"
            f"{{%- if message['role'] == '{SYSTEM}' -%}}{system}"
            f"{{%- elif message['role'] == '{USER}' -%}}"
            "{%- if loop.index0 > 0 and messages[loop.index0 - 1]['role'] == '"
            + ASSISTANT
            + "' -%}"
            f"{{{{ {_quoted(self.between)} }}}}{{%- endif -%}}{user}"
            "{%- else -%}{{ message['content'] }}{{ eos_token }}{%- endif -%}"
            "{%- endfor -%}"
        )


# As PolyLM's models were tuned (polylm-multialpaca-13b's discussion 2, the repository's README).
TEMPLATES = {
    "multialpaca": Template(user="{content}\n\n"),
    "chat": Template(user="<|user|>\n{content}\n<|assistant|>\n"),
}


def find(template: str | Template) -> Template:
    """One by its name, or itself; InputError names the nearest."""
    if isinstance(template, Template):
        return template
    if template in TEMPLATES:
        return TEMPLATES[template]
    if CONTENT in template:
        return Template(user=template)
    raise InputError(
        f"template = {template!r} isn't known.{nearest(template, TEMPLATES)} Give one of "
        f"{', '.join(TEMPLATES)}, or text with {CONTENT} in it."
    )


def chat_template(template: str | Template = "multialpaca") -> str:
    """`Template.jinja` of one by its name, for `export`'s chat_template."""
    return find(template).jinja()


def turn(template: str | Template = "multialpaca") -> str:
    """A turn as `generate`'s chat writes it, with {user} and {assistant} in it."""
    found = find(template)
    return found.user.replace(CONTENT, "{user}") + "{assistant}" + found.between


def _around(form: str) -> str:
    before, after = form.split(CONTENT)
    return f"{{{{ {_quoted(before)} + message['content'] + {_quoted(after)} }}}}"


def _quoted(text: str) -> str:
    """A Jinja string; its escapes are Python's."""
    return json.dumps(text, ensure_ascii=False)

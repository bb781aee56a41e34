"""Messages -> token ids by a chat template: Jinja, as the one that `export` puts beside the weights.

`eos_token` in a template is the id that ends a text. What looks like it in a message is text, as is
everything else that a user writes.
"""

import secrets
from collections.abc import Mapping, Sequence

import jinja2
import jinja2.sandbox

from polylm_jax.errors import InputError
from polylm_jax.tokenizer.tokenizer import Tokenizer

# PolyLM's chat models: <|user|>, the question, <|assistant|>, the answer.
TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}{{ message['content'] + '\\n' }}"
    "{%- elif message['role'] == 'user' -%}"
    "{{ '<|user|>\\n' + message['content'] + '\\n<|assistant|>\\n' }}"
    "{%- else -%}{{ message['content'] + '\\n\\n' }}{%- endif -%}"
    "{%- endfor -%}"
)


class ChatFormat:
    """A compiled template with its vocabulary; InputError for one that renders no conversation."""

    def __init__(self, template: str, tokenizer: Tokenizer):
        self.template, self._tokenizer = template or TEMPLATE, tokenizer
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = _raise
        try:
            self._compiled = environment.from_string(self.template)
            self.ids([{"role": "user", "content": "a"}])
        except jinja2.TemplateError as error:
            raise InputError(
                f"chat_template can't be used ({error}): give a Jinja template over `messages`."
            ) from error

    def ids(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """The prompt of an answer to these. jinja2.TemplateError where the template refuses them."""
        end = f"</s {secrets.token_hex(16)}>"  # no message has it, so none can end a turn
        text = self._compiled.render(
            messages=messages, add_generation_prompt=True, eos_token=end, bos_token=""
        )
        first, *rest = (self._tokenizer.encode(part) for part in text.split(end))
        return first + [token for part in rest for token in (self._tokenizer.eos_id, *part)]


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)

"""A chat in the terminal, with history; the answer appears as it is made."""

import dataclasses
import sys
from collections.abc import Callable

from polylm_jax.errors import InputError
from polylm_jax.inference.generation import prompts
from polylm_jax.inference.generation.text_generator import Text, TextGenerator

HELP = (
    "An empty line or Ctrl-D ends the chat, Ctrl-C an answer; /new forgets what was said, /again "
    "answers anew."
)


class Chat:
    """A conversation. options: of every answer; turn: how a turn is written (`prompts.TURN`).

    Where the history grows too long for the model, the oldest turns are forgotten, and it says so.
    """

    def __init__(
        self, generator: TextGenerator, options: prompts.Options, turn: str = prompts.TURN
    ):
        before = prompts.turn_parts(turn)[0].strip()
        stop = (options.stop,) if isinstance(options.stop, str) else tuple(options.stop)
        self._options = dataclasses.replace(
            options, samples=1, stop=(*stop, before) if before else stop
        )
        self._options.prompts("")  # InputError now rather than after the first question
        self._generator, self._turn = generator, turn
        self.turns: list[tuple[str, str]] = []
        self._answers = 0

    def answer(self, user: str, show: Callable[[str], None]) -> tuple[Text, int]:
        """The answer, shown piece by piece, and how many of the oldest turns were forgotten for it.

        InputError where what the user says leaves no room by itself; the history stays as it was.
        """
        kept = list(self.turns)
        while kept and not self._fits(kept, user):
            kept.pop(0)
        (prompt,) = self._options.prompts(prompts.history(kept, user, self._turn))
        prompt = dataclasses.replace(prompt, sample=self._answers)
        ((_, text),) = self._generator.texts([prompt], lambda _, new: show(new))
        self._answers += 1
        forgotten = len(self.turns) - len(kept)
        self.turns = [*kept, (user, text.text)]
        return text, forgotten

    def again(self, show: Callable[[str], None]) -> tuple[Text, int]:
        """Another answer to what was said last; a search or a greedy one comes out the same."""
        before = self.turns
        self.turns = before[:-1]
        try:
            return self.answer(before[-1][0], show)
        except BaseException:
            self.turns = before
            raise

    def _fits(self, turns, user):
        """Whether the prompt leaves an answer half of what it asks for, or a quarter of the model."""
        ids = self._generator.tokenizer.encode(prompts.history(turns, user, self._turn))
        limit = self._generator.decoder.config.max_length
        return len(ids) + min(self._options.max_new_tokens // 2, limit // 4) < limit


def talk(chat: Chat) -> None:
    """Reads lines and answers them until the user leaves."""
    print(HELP)
    while True:
        try:
            user = input("\n> ").strip()
        except (EOFError, KeyboardInterrupt):
            print()
            return
        if not user:
            return
        _respond(chat, user)


def _respond(chat: Chat, user: str) -> None:
    def show(new: str) -> None:
        print(new, end="", flush=True)

    if user == "/new":
        chat.turns.clear()
        print("Forgotten.")
        return
    try:
        if user == "/again" and not chat.turns:
            raise InputError("/again: nothing has been said yet.")
        text, forgotten = chat.again(show) if user == "/again" else chat.answer(user, show)
    except InputError as error:
        print(error, file=sys.stderr)
        return
    except KeyboardInterrupt:
        print("  [stopped, and not remembered]")
        return
    oldest = "the first turn is" if forgotten == 1 else f"the first {forgotten} turns are"
    notes = [f"{oldest} forgotten"] if forgotten else []
    notes += ["cut at its longest"] if text.finish == "length" else []
    print(f"  [{', '.join(notes)}]" if notes else "")

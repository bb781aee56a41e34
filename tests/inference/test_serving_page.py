"""The page in a real browser: both views, four scripts, the direction of text, a long chat, no other host."""

import asyncio

import browser
import pytest
import toy_serving

pytestmark = pytest.mark.skipif(not browser.BINARY, reason="no Chromium or Chrome is installed")

SAID = {
    "und": "When does the ferry leave?", "ar": "متى تغادر العبّارة (line 7)؟",
    "th": "เรือข้ามฟากออกกี่โมง", "zh": "渡轮几点开？",
}  # fmt: skip
STYLE = "(t => [t.lang, getComputedStyle(t).direction, t.textContent])"
IDLE = "!document.getElementById('go').disabled"


@pytest.fixture(scope="module")
def address():
    with toy_serving.server() as found:
        yield found


async def ready(tab):
    await tab.until("document.getElementById('model').textContent == 'toy, 160 tokens'")
    await tab.value("document.getElementById('max_tokens').value = '30'")
    await tab.value("document.getElementById('temperature').value = '0'")


def test_a_chat_in_four_scripts_drops_its_oldest_turns(address):
    async def talk():
        async with browser.opened(address) as tab:
            await ready(tab)
            for number, text in enumerate(SAID.values(), start=1):
                await tab.type("say", text)
                await tab.press_enter()
                await tab.until(
                    f"document.querySelectorAll('.turn').length == {2 * number} && {IDLE}"
                )
            mine = await tab.value(f"[...document.querySelectorAll('.user .text')].map({STYLE})")
            notes = await tab.value(
                "[...document.querySelectorAll('.assistant .note')].map(n => n.textContent)"
            )
            answers = await tab.value(
                f"[...document.querySelectorAll('.assistant .text')].map({STYLE})"
            )
            return mine, notes, answers, tab.requested

    mine, notes, answers, requested = asyncio.run(talk())
    expected = [[name, "rtl" if name == "ar" else "ltr", text] for name, text in SAID.items()]
    assert mine == expected
    assert all(" tokens, " in note and " tokens/s" in note for note in notes)
    assert "turns forgotten: " in notes[-1] and "forgotten" not in notes[0]
    assert all(answer[2] for answer in answers)
    assert {url.split("/")[2] for url in requested} == {address.removeprefix("http://")}


def test_a_text_is_continued_where_it_stands(address):
    async def write():
        async with browser.opened(address) as tab:
            await ready(tab)
            await tab.value("document.getElementById('tab-completion').click()")
            found = {}
            for text in SAID.values():
                await tab.value("document.getElementById('anew').click()")
                await tab.type("page", text)
                await tab.value("document.getElementById('go').click()")
                await tab.until(f"document.getElementById('page-note').textContent && {IDLE}")
                found[text] = await tab.value(
                    "(p => [p.value, getComputedStyle(p).direction, "
                    "document.getElementById('page-note').textContent])(document.getElementById('page'))"
                )
            await tab.value("document.getElementById('temperature').value = '9'")
            await tab.value("document.getElementById('go').click()")
            await tab.until("document.getElementById('page-note').classList.contains('wrong')")
            return found, await tab.value("document.getElementById('page-note').textContent")

    found, refused = asyncio.run(write())
    for text, (value, direction, note) in found.items():
        assert value.startswith(text) and len(value) > len(text)
        assert direction == ("rtl" if text == SAID["ar"] else "ltr")
        assert "tokens/s" in note
    assert refused.startswith("temperature = 9")

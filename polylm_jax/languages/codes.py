"""Codes of languages with their scripts, as FLORES writes them and what was translated from it.

ISO 639-3 and ISO 15924: 'tha_Thai'. FLORES-200, SIB-200 and Belebele call Chinese and Arabic by their
macrolanguage's or Modern Standard's code; FLORES+ has the single language's of Chinese.
"""

from polylm_jax.errors import InputError, nearest

FLORES = {
    "en": "eng_Latn", "zh": "zho_Hans", "ru": "rus_Cyrl", "es": "spa_Latn", "de": "deu_Latn",
    "fr": "fra_Latn", "it": "ita_Latn", "pt": "por_Latn", "ja": "jpn_Jpan", "ar": "arb_Arab",
    "ko": "kor_Hang", "vi": "vie_Latn", "th": "tha_Thai", "id": "ind_Latn", "tr": "tur_Latn",
    "pl": "pol_Latn", "nl": "nld_Latn", "he": "heb_Hebr",
}  # fmt: skip
FLORES_PLUS = FLORES | {"zh": "cmn_Hans"}


def flores(language: str, plus: bool = False) -> str:
    """FLORES's code of a language, of FLORES+ where `plus`; InputError for one that isn't here."""
    table = FLORES_PLUS if plus else FLORES
    if language not in table:
        raise InputError(
            f"language {language!r} has no code of FLORES here.{nearest(language, table)} Known: "
            f"{', '.join(table)}."
        )
    return table[language]

"""Scripts by their ISO 15924 codes: which there are, which way they run, which have no spaces.

The one table for all languages: the facts about a script stand here and nowhere else.
"""

from polylm_jax.errors import InputError, nearest

_RIGHT_TO_LEFT = """
Adlm Arab Aran Armi Avst Chrs Cprt Elym Gara Hatr Hebr Hung Khar Lydi Mand Mani Mend Merc Mero Narb
Nbat Nkoo Orkh Ougr Palm Phli Phlp Phlv Phnx Prti Rohg Samr Sarb Sidt Sogd Sogo Syrc Syre Syrj Syrn
Thaa Yezi
"""
# Han and kana; the scripts of Unicode's line breaking class SA (Thai, Lao, Khmer, Burmese and the Tai
# scripts); Tibetan, which marks syllables; Balinese and Javanese.
_UNSPACED = """
Hani Hanb Hans Hant Hira Kana Hrkt Jpan Bopo Thai Laoo Khmr Mymr Tibt Lana Tale Talu Tavt Ahom Bali
Java
"""
_OTHERS = """
Afak Aghb Armn Bamu Bass Batk Beng Berf Bhks Blis Brah Brai Bugi Buhd Cakm Cans Cari Cham Cher Chis
Cirt Copt Cpmn Cyrl Cyrs Deva Diak Dogr Dsrt Dupl Egyd Egyh Egyp Elba Ethi Geok Geor Glag Gong Gonm
Goth Gran Grek Gujr Gukh Guru Hang Hano Hluw Hmng Hmnp Hntl Inds Ital Jamo Jurc Kali Kawi Khoj Kits
Knda Kore Kpel Krai Kthi Latf Latg Latn Leke Lepc Limb Lina Linb Lisu Loma Lyci Mahj Maka Marc Maya
Medf Mlym Modi Mong Moon Mroo Mtei Mult Nagm Nand Newa Nkgb Nshu Ogam Olck Onao Orya Osge Osma Pauc
Pcun Pelm Perm Phag Piqd Plrd Psin Ranj Rjng Roro Runr Sara Saur Seal Sgnw Shaw Shrd Shui Sidd Sind
Sinh Sora Soyo Sund Sunu Sylo Tagb Takr Taml Tang Tayo Telu Teng Tfng Tglg Tirh Tnsa Todr Tols Toto
Tutg Ugar Vaii Visp Vith Wara Wcho Wole Xpeo Xsux Yiii Zanb Zinh Zmth Zsye Zsym Zxxx Zyyy Zzzz
"""
RIGHT_TO_LEFT = frozenset(_RIGHT_TO_LEFT.split())
UNSPACED = frozenset(_UNSPACED.split())
SCRIPTS = RIGHT_TO_LEFT | UNSPACED | frozenset(_OTHERS.split())

# Codes that name several of Unicode's scripts, or a way to write one; all others are Unicode's too.
_UNICODE = {
    "Aran": ("Arab",),
    "Cyrs": ("Cyrl",),
    "Geok": ("Geor",),
    "Hanb": ("Hani", "Bopo"),
    "Hans": ("Hani",),
    "Hant": ("Hani",),
    "Hrkt": ("Hira", "Kana"),
    "Jamo": ("Hang",),
    "Jpan": ("Hira", "Kana", "Hani"),
    "Kore": ("Hang",),  # Han is rare in it today, and all of Chinese
    "Latf": ("Latn",),
    "Latg": ("Latn",),
    "Syre": ("Syrc",),
    "Syrj": ("Syrc",),
    "Syrn": ("Syrc",),
}


def check(code: str, field: str) -> str:
    """The code, when ISO 15924 has it; InputError names the nearest. Qaaa to Qabx are for private use."""
    private = len(code) == 4 and "Qaaa" <= code <= "Qabx"
    if code not in SCRIPTS and not private:
        hint = nearest(code, SCRIPTS) or nearest(code.title(), SCRIPTS)
        raise InputError(
            f"{field}: script {code!r} is no code of ISO 15924, such as Latn, Cyrl, Arab or Deva.{hint}"
        )
    return code


def unicode_names(code: str) -> tuple[str, ...]:
    """Unicode's scripts that a text in it is written with: 'Jpan' -> ('Hira', 'Kana', 'Hani')."""
    return _UNICODE.get(code, (code,))


def unspaced_characters() -> str:
    """The inside of a `regex` set: the letters of scripts whose words nothing divides.

    Tibetan isn't among them: its marks between syllables divide it.
    """
    names = {name for code in UNSPACED - {"Tibt"} for name in unicode_names(code)}
    return "".join(rf"\p{{Script={name}}}" for name in sorted(names))

"""Who the languages are, their words, their names in tables, their shares of tokens.

codes     Codes of languages with their scripts
labels    What tables call a language, and the order in which they show them
registry  The languages: who they are, what corpora call them
scripts   Scripts by their ISO 15924 codes
shares    Shares of tokens that know how they were chosen, so that a look at a recipe can say it
words     Words in any script: for metrics, for likeness, for lengths
"""

from polylm_jax.runtime import names

names.hand_on(
    __name__,
    LANGUAGES="registry",
    Language="registry",
    register="registry",
    find="registry",
    temperature="registry",
    unimax="registry",
    by_hand="registry",
    average="registry",
)

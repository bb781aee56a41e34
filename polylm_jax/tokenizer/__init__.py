"""SentencePiece vocabularies: trained, loaded, measured.

fertility              What a vocabulary costs each language
sentencepiece_trainer  SentencePiece, called so that no text is lost and every digit is one token
tokenizer              The vocabulary: a SentencePiece model, text <-> token ids
train                  `train_tokenizer`
"""

from polylm_jax.runtime import names

names.hand_on(
    __name__,
    Tokenizer="tokenizer",
    train_tokenizer="train",
)

"""A small corpus of our own in all 18 languages, aligned: words, sentences, stories, generator."""

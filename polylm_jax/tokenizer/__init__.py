"""tokenizer: see the modules."""

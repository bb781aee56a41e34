"""Corpus cleaning: from raw crawl to one JSONL.zst per language, as datatrove pipelines (paper, section 3.1)."""

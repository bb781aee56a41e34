"""A task's tokens on disk: built once, read at any place.

build          From a SeqIO task to its token store, unit by unit, shared by any number of processes
cache          `run.py cache`: tasks to token stores, once
cache_view     What `cache` shows
identity       What a token store is made from
manifest       The manifest of a token store
remarks        What is odd about a task's documents and must not pass unsaid
store          A task's tokens on disk or gs://
task_identity  A SeqIO task's identity
text_state     Whether the text of a store is still what it was
tokens         A task's tokens in batches, each document closed with EOS
verify         Whether a store's tokens are those that were written
writer         Writing a token store
"""

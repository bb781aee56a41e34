"""Lengths that programs are compiled for: a few, so that no prompt's own length costs a compile.

    prompts   16 32 64 128 256 512 1024 2048                   powers of two
    columns   64 96 128 192 256 384 512 768 1024 1536 2048     and the halves between, of the cache

A prompt is padded to the next of the first row. The cache begins at the next of the second row and
moves on to the one after whenever it is full, so a token never reads more than half as many columns
again as it sees. Both rows end at the model's own `max_length`.
"""

SMALLEST_PROMPT = 16
SMALLEST_CACHE = 64


def prompt_buckets(max_length: int) -> tuple[int, ...]:
    """The lengths that prompts are padded to, for a model of `max_length` positions."""
    return doubled(SMALLEST_PROMPT, max_length)


def cache_buckets(max_length: int) -> tuple[int, ...]:
    """The numbers of columns that a cache can have."""
    return doubled(SMALLEST_CACHE, max_length, halves=True)


def bucket(length: int, buckets: tuple[int, ...]) -> int:
    """The first of `buckets` (ascending) that holds `length`; the last one where none does."""
    return next((size for size in buckets if size >= length), buckets[-1])


def doubled(first: int, limit: int, halves: bool = False) -> tuple[int, ...]:
    """first, 2 first, 4 first ... limit; with the halves between: first, 1.5 first, 2 first ..."""
    sizes = []
    while first < limit:
        sizes += [first, first * 3 // 2] if halves else [first]
        first *= 2
    return (*(size for size in sizes if size < limit), limit)

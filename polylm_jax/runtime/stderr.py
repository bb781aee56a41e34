"""Standard error without the lines that TensorFlow's C++ writes while it is imported.

No setting of TensorFlow 2.21 keeps them back: they come before its logging is set up. That there is
no GPU, it says as an error; where there should be one, JAX says it too.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

NOISE = re.compile(
    rb"[IW]\d{4} [\d:.]+ +\d+ \w+\.cc:\d+\] |E\d{4} [\d:.]+ +\d+ cuda_platform\.cc:"
    rb"|WARNING: All log messages before absl::"
)


@contextlib.contextmanager
def imports_kept_quiet() -> Iterator[None]:
    """Holds standard error back for as long as it lasts, then passes on all but `NOISE`."""
    with tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        terminal = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            held.seek(0)
            for line in held:
                if not NOISE.match(line):
                    os.write(2, line)

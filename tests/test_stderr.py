"""Only TensorFlow's start-up lines are lost from standard error."""

import os

from polylm_jax import stderr

LINES = (
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n",
    b"I0000 00:00:1795433361.425898    5932 port.cc:153] oneDNN custom operations are on.\n",
    b"E0000 00:00:1795433361.425898    5932 port.cc:153] an error\n",
    b"a warning of Python\n",
)


def test_errors_and_others_words_stay(capfd):
    with stderr.imports_kept_quiet():
        for line in LINES:
            os.write(2, line)
    os.write(2, b"later\n")
    assert capfd.readouterr().err.encode() == LINES[2] + LINES[3] + b"later\n"

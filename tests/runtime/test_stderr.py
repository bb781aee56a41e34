"""Only TensorFlow's start-up lines are lost from standard error."""

import os
import pathlib
import subprocess
import sys

from polylm_jax.runtime import stderr

REPO = pathlib.Path(__file__).resolve().parents[2]
LINES = (
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n",
    b"I0000 00:00:1795433361.425898    5932 port.cc:153] oneDNN custom operations are on.\n",
    b"E0000 00:00:1795433361.425898    5932 cuda_platform.cc:52] failed call to cuInit: INTERNAL\n",
    b"E0000 00:00:1795433361.425898    5932 port.cc:153] an error\n",
    b"a warning of Python\n",
)


def test_errors_and_others_words_stay(capfd):
    with stderr.imports_kept_quiet():
        for line in LINES:
            os.write(2, line)
    os.write(2, b"later\n")
    assert capfd.readouterr().err.encode() == LINES[3] + LINES[4] + b"later\n"


def test_tensorflow_leaves_gpus_to_jax_in_silence():
    program = (
        "import os; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '2'\n"
        "from polylm_jax.runtime import stderr, tensorflow_devices\n"
        "with stderr.imports_kept_quiet():\n"
        "    import tensorflow as tf\n"
        "    tensorflow_devices.leave_gpus()\n"
        "assert tf.reduce_sum(tf.constant([1, 2])) == 3\n"
        "assert not tf.config.get_visible_devices('GPU')\n"
        "tensorflow_devices.leave_gpus()\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=REPO, capture_output=True, check=True)
    assert b"cuInit" not in done.stderr

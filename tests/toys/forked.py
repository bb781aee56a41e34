"""Processes forked from one that has imported what all need: TensorFlow alone takes 5 CPU seconds."""

import contextlib
import multiprocessing
import os
import sys
from multiprocessing import forkserver


@contextlib.contextmanager
def preloaded(*modules):
    """`multiprocessing`'s context for processes that find these modules imported; they must have ended."""
    context = multiprocessing.get_context("forkserver")
    forkserver._forkserver._stop()  # the server of other tests has imported other modules
    context.set_forkserver_preload(list(modules))
    before = os.environ.copy()
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # Python 3.11's server has no other way
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    yield context
    forkserver._forkserver._stop()

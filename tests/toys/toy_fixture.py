"""The folder of the toy runs, made once for all tests that ask for it."""

import pytest
import toy_run


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory):
    """A folder with the stores, the vocabulary and compiled programs, for all tests to share."""
    folder = tmp_path_factory.getbasetemp() / "toy"
    if not folder.exists():
        toy_run.make(folder)
    return folder

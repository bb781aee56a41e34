"""What one test binds in gin is not there for the next: `from clean_gin import clean` in its file."""

import gin
import pytest


@pytest.fixture(autouse=True)
def clean():
    gin.clear_config()
    yield
    gin.clear_config()

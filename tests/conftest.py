"""What every test shares: a CPU of eight simulated devices, and the real sample data where it is."""

import os
import pathlib
import shutil
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# PyTorch's threads spin while they wait for one another: on cores that other tests take too, its toys
# take twice the CPU seconds and more.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Compiling is most of what the tests wait for, and what they run is small. A train step of a toy on
# 8 devices takes 6.2 CPU seconds by default, 3.4 at LLVM's level 0, 0.97 without the emitters that
# go through MLIR, 0.80 as one module of LLVM. Processes that tests start have the flags too.
for flag, value in (
    ("xla_force_host_platform_device_count", 8),
    ("xla_backend_optimization_level", 0),
    ("xla_cpu_use_fusion_emitters", "false"),
    ("xla_cpu_parallel_codegen_split_count", 1),
):
    if flag not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --{flag}={value}".strip()

# What one test compiles, the others find, in their processes and in those that they start.
COMPILED = None
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    COMPILED = tempfile.mkdtemp(prefix="polylm_compiled_")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

import pytest  # (the flags must stand before anything imports JAX)

REPO = pathlib.Path(__file__).resolve().parent.parent
DATA_DIR = pathlib.Path(os.environ.get("POLYLM_TEST_DATA", REPO / "../shared/data")).resolve()


def pytest_unconfigure():
    """The process that made the folder of programs takes it away; its workers leave it."""
    if COMPILED:
        shutil.rmtree(COMPILED, ignore_errors=True)


@pytest.fixture(scope="session")
def data_dir() -> pathlib.Path:
    """The folder of real text (udhr, tldr, multialpaca, benchmarks); skips where it is absent."""
    if not (DATA_DIR / "tldr" / "en.jsonl").exists():
        pytest.skip(f"no sample data in {DATA_DIR}: set POLYLM_TEST_DATA to a folder that has it")
    return DATA_DIR


@pytest.fixture(autouse=True, scope="module")
def registry_of_its_own():
    """What a file's tests register in SeqIO goes with them: the registry is one for the process."""
    import seqio  # noqa: F401 -- so that its registry is there to be looked at

    from polylm_jax.text import registrations
    from tasks import registry  # noqa: F401 -- forgets its definitions with them

    with registrations.for_a_time():
        yield

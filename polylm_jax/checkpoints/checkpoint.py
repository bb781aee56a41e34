"""Checkpoints: saved while training goes on, committed at once, restored onto any mesh.

    MODEL_DIR/checkpoints/STEP/params      parameters, all that another run or an export needs
                              /optimizer   AdamW's moments and counts
                              /progress    JSON: `Progress`

Orbax writes every shard from the host that holds it (OCDBT), into a folder with a temporary name,
and renames it when all is there: what was killed before is never listed, so never loaded. The
oldest ones are deleted after the newest is committed, never before.
"""

import dataclasses
import threading
from collections.abc import Callable, Mapping

import jax
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint import checkpoint_managers

from polylm_jax.errors import InputError
from polylm_jax.model import partitioning
from polylm_jax.model.lora import Lora
from polylm_jax.runtime.storage import Folder
from polylm_jax.training.train_state import TrainState

FOLDER = "checkpoints"
FORMAT = 1
# So that an export can read a parameter of any size in pieces; a shard below this is one chunk.
CHUNK_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a run stands, beside its arrays.

    rows: rows of the schedule trained on, the place in the data. step: updates made; it counts on
    when the batch size changes, and rows = step * batch_size only while it never has.
    evaluated: the last step that was validated, -1 for none. fingerprint: nested names -> values of
    all that decides what the run computes. base: where the parameters are that `params` are
    adapters to; '' where they are whole.
    """

    step: int
    rows: int
    batch_size: int
    phase: str
    fingerprint: Mapping
    recipe: str = ""
    evaluated: int = -1
    base: str = ""
    format: int = FORMAT


def _handlers() -> dict[str, ocp.CheckpointHandler]:
    return {
        "params": ocp.StandardCheckpointHandler(),
        "optimizer": ocp.StandardCheckpointHandler(),
        "progress": ocp.JsonCheckpointHandler(),
    }


def located(path: str) -> epath.Path:
    """A folder by its whole path; `absolute()` would make 'gs://b/run' one below this folder."""
    folder = epath.Path(path)
    return folder if folder.is_absolute() else folder.absolute()


class _Manager(ocp.CheckpointManager):
    """Orbax's, without its own call of JAX's preemption sync point.

    It would call it from the thread that commits, with the step of the save; JAX takes the number
    of the last call for where the process is, and one that is too low can make a process pass the
    point that all agreed on without stopping.
    """

    def reached_preemption(self, step: int) -> bool:
        return False


class Checkpoints:
    """The checkpoints of one run. `on_commit(step)` is called, from another thread, for each."""

    on_commit: Callable[[int], None] = staticmethod(lambda step: None)

    def __init__(
        self,
        model_dir: str,
        *,
        keep_last: int = 2,
        keep_every: int | None = None,
    ):
        if keep_last < 1:
            raise InputError(f"keep_last = {keep_last}: a run needs its newest checkpoint; give 1.")
        keep = [checkpoint_managers.LatestN(keep_last)]
        if keep_every:
            keep.append(checkpoint_managers.EveryNSteps(keep_every))
        self._lock = threading.Lock()
        self._saving: int | None = None
        self._manager = _Manager(
            located(model_dir) / FOLDER,
            item_handlers=_handlers(),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=checkpoint_managers.AnyPreservationPolicy(keep),
                cleanup_tmp_directories=True,
                async_options=ocp.AsyncOptions(post_finalization_callback=self._committed),
            ),
        )

    def newest(self) -> int | None:
        """The step of the newest complete checkpoint."""
        return self._manager.latest_step()

    def progress(self, step: int) -> Progress:
        return _read_progress(self._manager, step)

    def save(self, state: TrainState, progress: Progress) -> None:
        """Copies the state off the devices, then writes it in the background.

        Waits first for the save before it; an error of that one is raised here.
        """
        self._manager.wait_until_finished()
        with self._lock:
            self._saving = progress.step
        self._manager.save(
            progress.step,
            args=ocp.args.Composite(
                params=ocp.args.StandardSave(state.params, _in_chunks(state.params)),
                optimizer=ocp.args.StandardSave(state.opt_state),
                progress=ocp.args.JsonSave(dataclasses.asdict(progress)),
            ),
            force=True,
        )

    def restore(self, step: int, abstract: TrainState) -> TrainState:
        """The state of a step, placed as `abstract` says (any mesh); InputError for another model."""
        path = self._manager.directory / str(step)
        _check_shapes(path, self._manager.item_metadata(step)["params"].tree, abstract.params)
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                params=ocp.args.StandardRestore(abstract.params),
                optimizer=ocp.args.StandardRestore(abstract.opt_state),
            ),
        )
        mesh = abstract.step.sharding.mesh
        return TrainState(
            step=jax.device_put(jax.numpy.int32(step), partitioning.replicated(mesh)),
            params=restored["params"],
            opt_state=restored["optimizer"],
        )

    def wait(self) -> None:
        """Until what is being saved is committed; raises the error of a save that failed."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        self._manager.close()

    def _committed(self) -> None:
        with self._lock:
            step, self._saving = self._saving, None
        self.on_commit(step)


def _in_chunks(params):
    """How Orbax is to store each parameter."""
    return jax.tree.map(lambda _: ocp.SaveArgs(chunk_byte_size=CHUNK_BYTES), params)


def _read_progress(manager: ocp.CheckpointManager, step: int) -> Progress:
    args = ocp.args.Composite(progress=ocp.args.JsonRestore())
    found = manager.restore(step, args=args)["progress"]
    if found["format"] != FORMAT:
        raise InputError(
            f"checkpoint {manager.directory}/{step} has format {found['format']} and this version "
            f"reads {FORMAT}: use the version that wrote it."
        )
    return Progress(**found)


def _open(path: str, step: int | None) -> tuple[ocp.CheckpointManager, int]:
    """A reader and the step meant by MODEL_DIR, MODEL_DIR/checkpoints or .../checkpoints/STEP."""
    folder = located(path)
    if folder.name.isdigit() and folder.parent.name == FOLDER:
        folder, step = folder.parent, int(folder.name) if step is None else step
    if folder.name != FOLDER:
        folder = folder / FOLDER
    if path.startswith("gs://"):  # a bucket that can't be reached takes Orbax minutes to say so
        Folder(str(folder), "checkpoint").peek("")
    if not folder.exists():
        raise InputError(f"{path} has no {FOLDER!r} folder: give the MODEL_DIR of a run.")
    options = ocp.CheckpointManagerOptions(create=False, save_root_metadata=False)
    reader = ocp.CheckpointManager(folder, options=options, item_handlers=_handlers())
    steps = sorted(reader.all_steps())
    if not steps or (step is not None and step not in steps):
        wanted = "no complete checkpoint" if step is None else f"no complete checkpoint {step}"
        there = f": it has {', '.join(map(str, steps))}" if steps else ""
        raise InputError(f"{path} has {wanted}{there or ': train until one is saved'}.")
    return reader, steps[-1] if step is None else step


def read_progress(path: str, step: int | None = None) -> Progress:
    """The progress of a run's newest checkpoint, or of `step`; InputError where there is none.

    path: MODEL_DIR, MODEL_DIR/checkpoints or MODEL_DIR/checkpoints/STEP.
    """
    reader, step = _open(path, step)
    try:
        return _read_progress(reader, step)
    finally:
        reader.close()


def restore_params(path: str, abstract_params, step: int | None = None):
    """Parameters alone, placed and typed as `abstract_params` says; `path` as in `read_progress`.

    Adapters are merged into their base's. InputError where there is no checkpoint, or one of
    another model.
    """
    reader, step = _open(path, step)
    try:
        if base := _read_progress(reader, step).base:
            return _merged(reader, step, base, abstract_params)
        stored = reader.item_metadata(step)["params"].tree
        _check_shapes(reader.directory / str(step), stored, abstract_params)
        args = ocp.args.Composite(params=ocp.args.StandardRestore(abstract_params))
        return reader.restore(step, args=args)["params"]
    finally:
        reader.close()


def adapters_of(progress: Progress) -> tuple[Lora, int]:
    """What the adapters of a checkpoint are, and the step of their base."""
    fields = dict(progress.fingerprint["lora"])
    return Lora(fields["ranks"], fields["alpha"]), fields["base"]["step"]


def _merged(reader: ocp.CheckpointManager, step: int, base: str, abstract_params):
    """The base's parameters with the adapters of a checkpoint in them."""
    lora, base_step = adapters_of(_read_progress(reader, step))
    like = jax.tree.leaves(abstract_params)[0].sharding
    if isinstance(like, jax.sharding.NamedSharding):
        like = partitioning.replicated(like.mesh)
    stored = reader.item_metadata(step)["params"].tree
    wanted = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=like),
        stored,
        is_leaf=lambda x: hasattr(x, "shape"),
    )
    args = ocp.args.Composite(params=ocp.args.StandardRestore(wanted))
    adapters = reader.restore(step, args=args)["params"]
    return lora.merged(restore_params(base, abstract_params, base_step), adapters)


def _shapes(tree) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda x: hasattr(x, "shape"))[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): x.shape for path, x in leaves}


def _check_shapes(path: epath.Path, stored, wanted) -> None:
    """InputError that names the first parameter which is not the same in a checkpoint and a model."""
    there, here = _shapes(stored), _shapes(wanted)
    for name in sorted(here.keys() | there.keys()):
        if here.get(name) != there.get(name):
            raise InputError(
                f"{path} holds another model: {name} is {there.get(name, 'absent')} there and "
                f"{here.get(name, 'absent')} in this recipe; use the model that it was trained with."
            )

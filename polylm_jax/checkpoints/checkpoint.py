"""Checkpoints: saved while training goes on, committed at once, restored onto any mesh.

    MODEL_DIR/checkpoints/STEP/params      parameters, all that another run or an export needs
                              /optimizer   AdamW's moments and counts
                              /average     the parameters averaged, where a run keeps that; beside
                                           it `filling`, of a window under way
                              /progress    JSON: `Progress`, with the digests of all arrays

Orbax writes every shard from the host that holds it (OCDBT), into a folder with a temporary name,
and renames it when all is there: what was killed before is never listed, so never loaded. The
oldest ones are deleted after the newest is committed, never before.

Digests are taken from the arrays before they are written and compared with the arrays that were
read, wherever they were put: what lies between, disk and network included, is checked, and nothing
is read twice.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Sequence

import jax
import orbax.checkpoint as ocp
from etils import epath
from jax.experimental import multihost_utils
from orbax.checkpoint import checkpoint_managers

from polylm_jax.checkpoints import damage, digests, items, space
from polylm_jax.checkpoints.layout import FOLDER, located, split
from polylm_jax.checkpoints.progress import Progress
from polylm_jax.errors import InputError
from polylm_jax.model import partitioning
from polylm_jax.model.averaging import AVERAGE, FILLING, PLAIN, check_weights
from polylm_jax.model.lora import Lora
from polylm_jax.runtime import paths
from polylm_jax.runtime.storage import Folder

PARAMS, OPTIMIZER = "params", "optimizer"
# So that an export can read a parameter of any size in pieces; a shard below this is one chunk.
CHUNK_BYTES = 64 << 20


def _handlers() -> dict[str, ocp.CheckpointHandler]:
    return {
        "params": ocp.StandardCheckpointHandler(),
        "optimizer": ocp.StandardCheckpointHandler(),
        AVERAGE: ocp.StandardCheckpointHandler(),
        FILLING: ocp.StandardCheckpointHandler(),
        "progress": ocp.JsonCheckpointHandler(),
    }


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
        keep_at: Sequence[int] = (),
    ):
        keep = [checkpoint_managers.LatestN(keep_last)]
        if keep_every:
            keep.append(checkpoint_managers.EveryNSteps(keep_every))
        keep += [checkpoint_managers.CustomSteps(list(keep_at))] if keep_at else []
        space.quiet_about_it()
        damage.one_sentence_alone()
        self._lock = threading.Lock()
        self._saving: int | None = None
        self._keep_last, self._bytes = keep_last, 0
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
        return Progress.read(self._manager.directory / str(step))

    def save(self, state, progress: Progress) -> None:
        """Copies the state off the devices, then writes it in the background.

        state: anything with `params`, `opt_state` and `average` (item -> tree, or None), such as the
        trainer's.
        Waits first for the save before it; an error of that one is raised here. InputError where the
        disk has no room for it.
        """
        self.wait()
        kept = state.average or {}
        self._bytes = space.size_of((state.params, state.opt_state, kept))
        space.check(self._manager.directory, self._bytes, f"step {progress.step} isn't saved")
        with self._lock:
            self._saving = progress.step
        taken = {PARAMS: digests.of(state.params), OPTIMIZER: digests.of(state.opt_state)}
        taken |= {item: digests.of(tree) for item, tree in kept.items()}
        beside = {n: ocp.args.StandardSave(tree, _in_chunks(tree)) for n, tree in kept.items()}
        progress = dataclasses.replace(progress, digests=taken)
        self._manager.save(
            progress.step,
            args=ocp.args.Composite(
                params=ocp.args.StandardSave(state.params, _in_chunks(state.params)),
                optimizer=ocp.args.StandardSave(state.opt_state),
                progress=ocp.args.JsonSave(progress.sealed()),
                **beside,
            ),
            force=True,
        )

    def restore(self, step: int, abstract):
        """The state of a step, placed as `abstract` says (any mesh).

        InputError for another model, DamagedCheckpoint where it isn't what was saved.
        abstract: a state whose arrays are shapes with shardings; what it holds beside step, params,
        opt_state and average is kept. An average that the checkpoint lacks begins with its parameters.
        """
        folder, progress = self._manager.directory / str(step), self.progress(step)
        params, opt_state = (
            items.restored(folder, item, progress.digests.get(item, {}), wanted)
            for item, wanted in ((PARAMS, abstract.params), (OPTIMIZER, abstract.opt_state))
        )
        average = abstract.average and {
            item: items.restored(folder, item, progress.digests[item], wanted)
            if item in progress.digests
            else items.like(params, wanted)
            for item, wanted in abstract.average.items()
        }
        mesh = abstract.step.sharding.mesh
        return abstract.replace(
            average=average,
            step=jax.device_put(jax.numpy.int32(step), partitioning.replicated(mesh)),
            params=params,
            opt_state=opt_state,
        )

    def owns(self, error: damage.DamagedCheckpoint) -> bool:
        """Whether it is one of these that is damaged."""
        return epath.Path(error.folder).parent == self._manager.directory

    def set_aside(self, error: damage.DamagedCheckpoint) -> str:
        """Gives a damaged one another name, under which it is none; every process calls it."""
        folder = epath.Path(error.folder)
        taken = {place.name for place in self._manager.directory.iterdir()}
        names = (f"{folder.name}.damaged{n or ''}" for n in range(len(taken) + 1))
        place = folder.with_name(next(name for name in names if name not in taken))
        multihost_utils.sync_global_devices("a damaged checkpoint is seen")
        if jax.process_index() == 0:
            folder.rename(place)
        multihost_utils.sync_global_devices("a damaged checkpoint is set aside")
        self._manager.reload()
        return place.name

    def wait(self) -> None:
        """Until what is being saved is committed; raises the error of a save that failed."""
        with space.refusing_when_full(self._manager.directory, self._bytes):
            self._manager.wait_until_finished()

    def room_for(self, abstract) -> str:
        """A sentence where the disk is too small for the checkpoints to come, '' where it isn't.

        InputError where not even the first one would have room.
        """
        size = space.size_of((abstract.params, abstract.opt_state, abstract.average))
        space.check(self._manager.directory, size, "the run could save nothing")
        more = self._keep_last + 1 - len(self._manager.all_steps())
        return space.warning(self._manager.directory, size * max(more, 1))

    def close(self) -> None:
        self._manager.close()

    def _committed(self) -> None:
        with self._lock:
            step, self._saving = self._saving, None
        assert step is not None  # `save` said which
        self.on_commit(step)


def _in_chunks(params):
    """How Orbax is to store each parameter."""
    return jax.tree.map(lambda _: ocp.SaveArgs(chunk_byte_size=CHUNK_BYTES), params)


def _folder(path: str, step: int | None) -> epath.Path:
    """Of the checkpoint meant by MODEL_DIR, MODEL_DIR/checkpoints or .../checkpoints/STEP."""
    folder, named = split(path)
    step = named if step is None else step
    if paths.is_remote(str(folder)):  # Orbax takes minutes to say that a bucket can't be reached
        Folder(str(folder), "checkpoint").peek("")
    if not folder.exists():
        raise InputError(f"{path} has no {FOLDER!r} folder: give the MODEL_DIR of a run.")
    damage.one_sentence_alone()
    options = ocp.CheckpointManagerOptions(create=False, save_root_metadata=False)
    with contextlib.closing(ocp.CheckpointManager(folder, options=options)) as manager:
        steps = sorted(manager.all_steps())
    if not steps or (step is not None and step not in steps):
        wanted = "no complete checkpoint" if step is None else f"no complete checkpoint {step}"
        there = f": it has {', '.join(map(str, steps))}" if steps else ""
        raise InputError(f"{path} has {wanted}{there or ': train until one is saved'}.")
    return folder / str(steps[-1] if step is None else step)


def read_progress(path: str, step: int | None = None) -> Progress:
    """The progress of a run's newest checkpoint, or of `step`; InputError where there is none.

    path: MODEL_DIR, MODEL_DIR/checkpoints or MODEL_DIR/checkpoints/STEP.
    """
    return Progress.read(_folder(path, step))


def restore_params(path: str, abstract_params, step: int | None = None, weights: str = PLAIN):
    """Parameters alone, placed and typed as `abstract_params` says; `path` as in `read_progress`.

    weights: 'plain', or 'average' for their average. Adapters are merged into their base's.
    InputError where there is no checkpoint, none of these weights, or one of another model,
    DamagedCheckpoint where it isn't what was saved.
    """
    folder = _folder(path, step)
    progress = Progress.read(folder)
    item = item_of(path, progress, weights)
    if progress.base:
        return _merged(folder, progress, abstract_params)
    return items.restored(folder, item, progress.digests.get(item, {}), abstract_params)


def item_of(path: str, progress: Progress, weights: str) -> str:
    """Which item of a checkpoint holds the weights that are asked for; InputError for none."""
    if check_weights(weights) == PLAIN:
        return PARAMS
    if AVERAGE not in progress.digests:
        raise InputError(
            f"WEIGHTS = {weights!r}, and {path}, step {progress.step}, keeps no average: say "
            "WEIGHTS = 'plain', or make one of its checkpoints with `run.py average`."
        )
    return AVERAGE


def adapters_of(progress: Progress) -> tuple[Lora, int]:
    """What the adapters of a checkpoint are, and the step of their base."""
    fields = dict(progress.fingerprint["lora"])
    return Lora(fields["ranks"], fields["alpha"]), fields["base"]["step"]


def _merged(folder: epath.Path, progress: Progress, abstract_params):
    """The base's parameters with the adapters of a checkpoint in them."""
    lora, base_step = adapters_of(progress)
    like = jax.tree.leaves(abstract_params)[0].sharding
    if isinstance(like, jax.sharding.NamedSharding):
        like = partitioning.replicated(like.mesh)
    saved = progress.digests.get(PARAMS, {})
    wanted = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=like),
        items.stored(folder, PARAMS, saved),
        is_leaf=lambda x: hasattr(x, "shape"),
    )
    adapters = items.restored(folder, PARAMS, saved, wanted)
    return lora.merged(restore_params(progress.base, abstract_params, base_step), adapters)

"""The arrays of one item of a checkpoint (`params`, `optimizer`, `average`), read onto the devices and compared.

What comes out is what was saved, bit by bit, or DamagedCheckpoint says which array isn't. Digests are
taken of what was read, so nothing is read twice; of a checkpoint without digests nothing is known.
"""

from collections.abc import Mapping

import jax
import orbax.checkpoint as ocp
from etils import epath

from polylm_jax.checkpoints import damage, digests
from polylm_jax.checkpoints.damage import DamagedCheckpoint
from polylm_jax.errors import InputError

Shapes = dict[str, tuple[int, ...]]


def stored(folder: epath.Path, item: str, saved: Mapping[str, str]):
    """The tree of an item's arrays, each with `shape` and `dtype`. saved: name -> digest."""
    with damage.reading(folder):
        tree = ocp.StandardCheckpointHandler().metadata(folder / item).tree
        there = shapes(tree)
    if saved and there != {name: digests.shape_of(text) for name, text in saved.items()}:
        raise DamagedCheckpoint(folder, f"it doesn't list the {item} that were saved")
    return tree


def restored(folder: epath.Path, item: str, saved: Mapping[str, str], wanted):
    """An item's arrays, placed and typed as `wanted` says (jax.ShapeDtypeStruct with shardings).

    Raises InputError for another model, DamagedCheckpoint for what isn't as it was saved.
    """
    tree = stored(folder, item, saved)
    _check_shapes(folder, shapes(tree), shapes(wanted))
    dtypes = {name: x.dtype for name, x in _named(tree).items()}
    cast = {name for name, x in _named(wanted).items() if saved and dtypes[name] != x.dtype}
    if not cast:
        with damage.reading(folder):
            arrays = ocp.Checkpointer(ocp.StandardCheckpointHandler()).restore(
                folder / item, args=ocp.args.StandardRestore(wanted)
            )
        return _compared(folder, item, saved, arrays)
    # One at a time, so that no more than one of them is there in both types.
    one_by_one = {
        name: _one(folder, item, saved, name, x, dtypes[name]) for name, x in _named(wanted).items()
    }
    return jax.tree_util.tree_map_with_path(
        lambda path, _: one_by_one[digests.name_of(path)], wanted
    )


def like(arrays, wanted):
    """The same arrays, placed and typed as `wanted` says."""
    shardings = jax.tree.map(lambda x: x.sharding, wanted)
    cast = jax.jit(
        lambda tree: jax.tree.map(lambda x, y: x.astype(y.dtype), tree, wanted),
        out_shardings=shardings,
    )
    return cast(arrays)


def shapes(tree) -> Shapes:
    """Name -> shape of every array of a tree."""
    return {name: tuple(x.shape) for name, x in _named(tree).items()}


def _named(tree) -> dict:
    leaves = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda x: hasattr(x, "shape"))[0]
    return {digests.name_of(path): x for path, x in leaves}


def _one(folder: epath.Path, item: str, saved: Mapping[str, str], name: str, wanted, dtype):
    """One array, compared as it was saved and then typed as wanted."""
    tree: jax.ShapeDtypeStruct | dict = jax.ShapeDtypeStruct(
        wanted.shape, dtype, sharding=wanted.sharding
    )
    for key in reversed(name.split(".")):
        tree = {key: tree}
    args = ocp.checkpoint_utils.construct_restore_args(tree)
    with damage.reading(folder):
        found = ocp.Checkpointer(ocp.PyTreeCheckpointHandler()).restore(
            folder / item,
            args=ocp.args.PyTreeRestore(item=tree, restore_args=args, partial_restore=True),
        )
    (array,) = jax.tree.leaves(_compared(folder, item, saved, found))
    return array.astype(wanted.dtype)


def _compared(folder: epath.Path, item: str, saved: Mapping[str, str], arrays):
    if saved:
        damage.compare(folder, item, saved, digests.of(arrays))
    return arrays


def _check_shapes(folder: epath.Path, there: Shapes, here: Shapes) -> None:
    """InputError that names the first array which is not the same in a checkpoint and a model."""
    for name in sorted(here.keys() | there.keys()):
        if here.get(name) != there.get(name):
            raise InputError(
                f"{folder} holds another model: {name} is {there.get(name, 'absent')} there and "
                f"{here.get(name, 'absent')} in this recipe; use the model that it was trained with."
            )

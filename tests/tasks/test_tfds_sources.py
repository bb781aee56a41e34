"""TFDS: its data sets are read shard by shard, and what it can't prepare is said."""

import json

import pytest
import tensorflow_datasets as tfds
from reading import PAIR, TEXT, everything

from polylm_jax.errors import InputError
from tasks.sources import source as sources


def prepared(folder, name, splits, features):
    """Metadata of a data set, as TFDS leaves it where it has prepared one."""
    config = name.split("/")[1]
    target = folder / name / str(tfds.builder(name, data_dir=str(folder)).version)
    target.mkdir(parents=True)
    about = {
        "name": name.split("/")[0],
        "version": target.name,
        "configName": config,
        "fileFormat": "tfrecord",
        "splits": [
            {
                "name": split,
                "shardLengths": [str(n) for n in lengths],
                "numBytes": "1000",
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
            for split, lengths in splits.items()
        ],
    }
    (target / "dataset_info.json").write_text(json.dumps(about))
    tfds.features.FeaturesDict(dict.fromkeys(features, tfds.features.Text())).save_config(target)


def test_tfds_with_its_mock_data(tmp_path):
    prepared(tmp_path, "wikipedia/20230601.th", {"train": [3, 2]}, ["title", "text"])
    mc4 = ["content-length", "content-type", "text", "timestamp", "url"]
    prepared(tmp_path, "c4/multilingual", {"th": [4], "th-validation": [4]}, mc4)
    folder = {"data_dir": str(tmp_path)}
    with tfds.testing.mock_data(num_examples=20, data_dir=str(tmp_path)):
        wiki = sources.read(
            {"name": "wikipedia/20230601.th", "id": "title", **folder}, TEXT, held_out=0.3
        )
        assert wiki.list_shards("train") == (
            "wikipedia/20230601.th/1.0.0:train#0-1",
            "wikipedia/20230601.th/1.0.0:train#1-2",
        )
        train, validation = everything(wiki, "train"), everything(wiki, "validation")
        assert len(train) + len(validation) == 40 and train and validation
        assert {r["group"] for r in train}.isdisjoint(r["group"] for r in validation)
        assert set(train[0]) == {"text", "group", "held_out"}
        assert wiki.fingerprint()["files"] == [
            {"path": "wikipedia/20230601.th/1.0.0:train", "size": 1000}
        ]
        thai = sources.read({"name": "c4/multilingual", "split": "th", "id": "url", **folder}, TEXT)
        assert len(everything(thai)) == 20
        with pytest.raises(InputError, match="no split 'tj'.*Did you mean 'th'"):
            everything(sources.read({"name": "c4/multilingual", "split": "tj", **folder}, TEXT))
        with pytest.raises(InputError, match="feature 'titel'.*Did you mean 'title'"):
            spec = {"name": "wikipedia/20230601.th", "id": "titel", **folder}
            everything(sources.read(spec, TEXT))


def test_tfds_really_prepared(tmp_path):
    class Talks(tfds.core.GeneratorBasedBuilder):
        """A translation set of our own, built and read by TFDS itself."""

        VERSION = tfds.core.Version("1.0.0")
        name = "talks"

        def _info(self):
            pair = {"en": tfds.features.Text(), "th": tfds.features.Text()}
            features = {"talk": tfds.features.Text(), "translation": pair}
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, _):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for i in range(1200):
                pair = {"en": f"Line {i}", "th": f"บรรทัด {i}" if i else ""}
                yield i, {"talk": f"talk {i // 10}", "translation": pair}

    Talks(data_dir=str(tmp_path)).download_and_prepare()
    columns = {"en": "translation.en", "th": "translation.th"}
    spec = {"name": "talks", "columns": columns, "id": "talk", "data_dir": str(tmp_path)}
    source = sources.read(spec, PAIR)
    pairs = everything(source)
    assert len(pairs) == 1199 and source.bad_lines == 1
    assert all(r["en"].split()[1] == r["th"].split()[1] for r in pairs)
    assert {r["group"] for r in pairs} == {f"talk {i}" for i in range(120)}


def test_tfds_says_what_it_cannot_prepare(tmp_path):
    for name, message in [
        ("the_pile", "TFDS has no builder for the Pile, CC-100 and WMT20"),
        ("wikipedia/20230601.xx", "can't open"),
        ("wikipedia/20230601.th", "isn't prepared in .*tfds build wikipedia/20230601.th"),
    ]:
        source = sources.read({"name": name, "data_dir": str(tmp_path)}, TEXT)
        with pytest.raises(InputError, match=message):
            source.list_shards("train")

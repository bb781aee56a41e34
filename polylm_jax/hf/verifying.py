"""What was converted against PyTorch: logits of the same ids, and token ids of the same texts.

PyTorch and transformers are needed for the logits only; without them nothing is claimed.
"""

import dataclasses
import os
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np

from polylm_jax import checkpoint
from polylm_jax.hf import param_table, tokenizer_files
from polylm_jax.model import PolyLM, PolyLMConfig
from polylm_jax.param_store import Reader, folder_of
from polylm_jax.tokenizer import Tokenizer

TOLERANCE = 1e-4  # of float32 logits
ROWS, LENGTH = 3, 64  # compared; with 256,000 tokens that is 197 MB of logits a side

TEXTS = {
    "en": "The ferry leaves at 7:45, so bring bread and a warm coat.",
    "zh": "渡轮七点四十五分开船,请带上面包和一件厚外套。",
    "ru": "Паром отходит в 7:45, возьмите хлеб и тёплое пальто.",
    "es": "El transbordador sale a las 7:45; traed pan y un abrigo de otoño.",
    "de": "Die Fähre fährt um 7:45 Uhr, nehmt Brot und einen wärmeren Mantel mit.",
    "fr": "Le bac part à 7 h 45 : apportez du pain et un manteau bien épais.",
    "it": "Il traghetto parte alle 7:45, perciò portate pane e un cappotto.",
    "pt": "A balsa sai às 7h45; tragam pão e um casaco de lã.",
    "ja": "フェリーは7時45分に出ます。パンと暖かいコートを持ってきてください。",
    "ar": "تغادر العبّارة في الساعة ٧:٤٥، فأحضروا الخبز ومعطفًا دافئًا.",
    "ko": "배는 7시 45분에 떠나니 빵과 따뜻한 외투를 챙기세요.",
    "vi": "Phà rời bến lúc 7:45, hãy mang bánh mì và một chiếc áo ấm.",
    "th": "เรือข้ามฟากออกเวลา ๗:๔๕ น. โปรดนำขนมปังและเสื้อกันหนาวมาด้วย",
    "id": "Kapal feri berangkat pukul 7.45, jadi bawalah roti dan mantel hangat.",
    "tr": "Vapur 7.45'te kalkıyor, yanınıza ekmek ve kalın bir palto alın.",
    "pl": "Prom odpływa o 7:45, weźcie chleb i ciepły płaszcz na później.",
    "nl": "De veerboot vertrekt om 7.45 uur, dus neem brood en een warme jas mee.",
    "he": "המעבורת יוצאת ב־7:45, אז הביאו לחם ומעיל חם.",
}
# What breaks tokenizers: nothing at all, runs of spaces, line ends, control pieces as text, emoji,
# a script that no piece covers, composed and decomposed letters.
HARD = [
    "", " ", "  two   three ", "\n\n\ttab\r\n", "</s>", "<s>x<unk><0x0A>", "👩‍👩‍👧‍👦 🇹🇭 мир world",
    "𐎠𐎡𐎢 ᚠᚢ", "1234567890 ٠١٢ ๓๔", "e\u0301 \u00e9 ﬁ Ⅳ", "\ufeffmark",
]  # fmt: skip


def verify(
    path: str, folder: str, vocabulary: str, step: int | None = None, dtype: str = "float32"
) -> None:
    """Compares a checkpoint of ours with a Hugging Face folder, and says what it found.

    path, step: as in `checkpoint.read_progress`. folder: local. vocabulary: a SentencePiece model.
    dtype: what the folder's files round the checkpoint's parameters to.

    Raises SystemExit(1) where logits differ by more than 1e-4, or a BPE vocabulary's ids differ.
    """
    tokenizer = Tokenizer.load(vocabulary)
    place = pathlib.Path(folder).expanduser()
    good = _verify_ids(tokenizer, place)
    good &= _verify_logits(path, place, tokenizer, step, dtype)
    if not good:
        print(f"{folder} is not the same model: it was kept for a look.", file=sys.stderr)
        sys.exit(1)


def _verify_ids(tokenizer: Tokenizer, folder: pathlib.Path) -> bool:
    """False where ids differ that must not; a unigram vocabulary's rate is only told."""
    if not (folder / "tokenizer.json").exists():
        print("token ids: not verified, the folder has no tokenizer.json")
        return True
    texts = [*TEXTS.values(), *HARD]
    differing = tokenizer_files.differing_ids(tokenizer, folder, texts)
    print(f"token ids: {len(differing)} of {len(texts)} texts differ from SentencePiece's")
    kind = tokenizer_files.model_proto(tokenizer).trainer_spec.model_type
    if kind == tokenizer_files.BPE:
        return not differing
    print("  (not a BPE vocabulary: use tokenizer.model where the ids must be the trained ones)")
    return True


def _verify_logits(
    path: str, folder: pathlib.Path, tokenizer: Tokenizer, step: int | None, dtype: str
) -> bool:
    try:
        import torch
        import transformers  # noqa: F401  (asked here whether it is there)
    except ImportError as error:
        print(f"logits: not verified, {error.name} is not installed")
        return True
    step = checkpoint.read_progress(path, step).step
    config = param_table.config_of(Reader(folder_of(path, step)).shapes)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    needed = 12 * config.num_params  # both models in float32, and one as much on the way in
    if needed > memory:
        print(f"logits: not verified, it takes {needed / 1e9:.0f} GB of memory")
        return True
    ids = sample_ids(tokenizer, config)
    ours = our_logits(path, step, config, ids, dtype)
    difference = float(np.max(np.abs(ours - their_logits(folder, torch.from_numpy(ids)))))
    print(f"logits: max |JAX - PyTorch| = {difference:.2e} over {ours.size:,} (<= {TOLERANCE:g})")
    return difference <= TOLERANCE  # not a number is not less


def sample_ids(tokenizer: Tokenizer, config: PolyLMConfig) -> np.ndarray:
    """int64 [ROWS, length]: the texts one after another, then ids from the whole vocabulary."""
    length = min(LENGTH, config.max_length)
    joined = [i for text in TEXTS.values() for i in [*tokenizer.encode(text), tokenizer.eos_id]]
    any_ids = np.random.default_rng(0).integers(0, config.vocab_size, ROWS * length)
    real = np.array(joined[: (ROWS - 1) * length], np.int64)
    any_ids[: len(real)] = real
    return any_ids.reshape(ROWS, length)


def our_logits(
    path: str, step: int, config: PolyLMConfig, ids: np.ndarray, dtype: str
) -> np.ndarray:
    """float32 [B, T, V] of the checkpoint, its parameters rounded to `dtype` as the files' are."""
    exact = dataclasses.replace(config, dtype="float32", remat="none", attention="reference")
    model, device = PolyLM(exact), jax.devices("cpu")[0]
    params = checkpoint.restore_params(path, abstract_params(exact, device), step)
    params = jax.tree.map(lambda x: x.astype(dtype).astype(jnp.float32), params)

    def logits(params, ids):
        x_BTD = model.apply({"params": params}, ids)
        return model.apply({"params": params}, x_BTD, method="logits")

    with jax.default_device(device), jax.default_matmul_precision("highest"):
        return np.asarray(jax.jit(logits)(params, jnp.asarray(ids, jnp.int32)))


def abstract_params(config: PolyLMConfig, device: jax.Device) -> dict:
    """The parameter tree, nothing in it yet, all on one device."""
    sharding = jax.sharding.SingleDeviceSharding(device)
    tree: dict = {}
    for name, shape in param_table.our_shapes(config).items():
        *path, leaf = name.split(".")
        branch = tree
        for key in path:
            branch = branch.setdefault(key, {})
        branch[leaf] = jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding)
    return tree


def their_logits(folder: pathlib.Path, ids) -> np.ndarray:
    """float32 [B, T, V] of the folder's model in PyTorch; ids: a torch tensor [B, T]."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    load = transformers.GPT2LMHeadModel.from_pretrained
    model = load(folder, dtype=torch.float32, local_files_only=True).eval()
    with torch.no_grad():
        return model(ids).logits.numpy()

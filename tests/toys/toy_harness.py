"""Files of the benchmarks that lm_eval defines, in the fields that they are published with."""

import unittest.mock

from reading import jsonl, write

PASSAGE = "The ferry leaves at 7:45. Bring bread and a warm coat."
LETTERS = {"option_a": "at 7:45", "option_b": "at noon", "option_c": "never", "option_d": "at six"}
DOCUMENTS = {  # benchmark -> (code of Hebrew, Arabic or English there, two items)
    "belebele": ("heb_Hebr", [
        {"flores_passage": PASSAGE, "question": "מתי?", "mc_answer1": "at noon", "mc_answer2": "at 7:45",
         "mc_answer3": "never", "mc_answer4": "at six", "correct_answer_num": "2"},
        {"flores_passage": PASSAGE, "question": "מה?", "mc_answer1": "bread", "mc_answer2": "water",
         "mc_answer3": "fish", "mc_answer4": "wine", "correct_answer_num": "1"},
    ]),
    "global_piqa": ("heb_hebr", [
        {"prompt": "To stay warm,", "solution0": "bring a coat.", "solution1": "bring ice.", "label": 0},
        {"prompt": "To eat,", "solution0": "bring stones.", "solution1": "bring bread.", "label": 1},
    ]),
    "global_mmlu": ("he", [
        {"question": "When? ", "answer": "A", "subject": "anatomy", **LETTERS},
        {"question": "Why?", "answer": "C", "subject": "virology", **LETTERS},
    ]),
    "include": ("he", [
        {"question": "When? ", "answer": 0, "domain": "STEM", **LETTERS},
        {"question": "Why?", "answer": 2, "domain": "Arts", **LETTERS},
    ]),
    "multiblimp": ("heb", [
        {"sen": "The ferries leave.", "wrong_sen": "The ferries leaves."},
        {"sen": "She brings bread.", "wrong_sen": "She bring bread."},
    ]),
    "xstorycloze": ("ar", [
        {"input_sentence_1": "One.", "input_sentence_2": "Two.", "input_sentence_3": "Three.",
         "input_sentence_4": "Four.", "sentence_quiz1": "Five.", "sentence_quiz2": "Bread.",
         "answer_right_ending": 1},
        {"input_sentence_1": "A.", "input_sentence_2": "B.", "input_sentence_3": "C.",
         "input_sentence_4": "D.", "sentence_quiz1": "Coat.", "sentence_quiz2": "E.",
         "answer_right_ending": 2},
    ]),
    "hellaswag": ("ar", [
        {"ctx_a": "The ferry", "ctx_b": "it leaves", "activity_label": "Travel",
         "endings": ["at 7:45.", "bread.", "a coat.", "[x] ice."], "label": "0"},
        {"ctx_a": "Bread", "ctx_b": "a coat", "activity_label": "Packing",
         "endings": ["ice.", "is warm.", "no.", "so."], "label": "1"},
    ]),
    "arc": ("ar", [
        {"id": "1", "instruction": "When?", "answer": "B", "option_e": None, **LETTERS},
        {"id": "2", "instruction": "Why?", "answer": "D", "option_e": None, **LETTERS},
    ]),
}  # fmt: skip
LANGUAGE = {"he": ("belebele", "global_piqa", "global_mmlu", "include", "multiblimp"),
            "ar": ("xstorycloze", "hellaswag", "arc")}  # fmt: skip


def write_all(folder):
    """The files where `harness.register` looks for them; the folder."""
    for benchmark, (code, documents) in DOCUMENTS.items():
        write(folder / benchmark / f"{code}.jsonl", jsonl(documents))
    return folder


def evaluated(model, task):
    """What lm_eval finds of one task's config, without asking the machine 12 times what it is."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    with unittest.mock.patch("lm_eval.evaluator.add_env_info"):
        return lm_eval.simple_evaluate(
            model=model, tasks=[task], log_samples=True, bootstrap_iters=0,
            task_manager=TaskManager(include_defaults=False),
        )  # fmt: skip

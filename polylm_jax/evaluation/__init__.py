"""What a checkpoint scores: SeqIO tasks, the paper's benchmark, lm_eval, while training.

batching        Requests into batches of few shapes
examples        The examples of a SeqIO evaluation task as text: what it does before it tokenizes
gap_report      `run.py gap`: what a checkpoint pays for the same text beside any transformers model
in_training     Evaluation tasks in a training run
language_model  A checkpoint as a language model of texts: log-likelihoods, and greedy answers
lm_eval_model   A checkpoint in EleutherAI's lm-evaluation-harness (lm_eval 0.4)
other_results   Results of other checkpoints, as an earlier evaluation wrote them
outputs         What a model gave for the requests of a task, kept line by line
overview        All benchmarks in one table, languages as columns, a row per checkpoint
plots           A picture per benchmark
protocol        The protocol of a benchmark task
published       The paper's numbers: appendix C of arXiv 2307.06018, every table of its benchmark
questions       A task's examples as what a model is asked
report          What an evaluation found, as JSON and as Markdown
requests        Requests: what is scored given what, as token ids, cut where lm_eval 0.4 cuts them
result          The numbers of a task, and how they came about
run             `run.py evaluate`: a checkpoint over evaluation tasks, to a table beside the paper's
run_scores      Scores of a run over its training, as it wrote them or of its evaluated checkpoints
runner          A task from its examples to its numbers
scoring         Log-likelihoods of continuations under a model, in batches of few shapes
signal_report   `run.py signal`: which tasks say anything at the size of one's own runs
tables          Results as tables
task_scores     The evaluation tasks of a training run, ready for whatever parameters it has by then
text_costs      What a model pays for each byte of a text, and what kind of text it pays for
transformers_model  Any causal language model in a transformers folder, with its own tokenizer
"""

from polylm_jax.runtime import names

names.hand_on(
    __name__,
    evaluate="run",
    gap="gap_report",
    signal="signal_report",
    TrainingTasks="in_training",
    Batching="language_model",
)

"""The training run: what it consists of, its steps, what happens between them, what it reports.

adapted_programs  What the devices execute where only adapters are trained
agreement         Several processes of one run agree on what they are about to do
compile_turns     Workers of a sweep don't compile the same program at the same time
evaluation        What a run takes as evaluation on the way
executables       Compiled programs, of which a process that trains several runs makes each one once
experiment        What a run consists of, and everything that can be wrong with it
finetuning        `run.py finetune`
grace             Whether what is left after SIGTERM is enough
heartbeat         The other processes of a run
identity          What decides a run's numbers, so that runs are told apart
inspection        What would train, told without training
inspection_view   The report of `inspect` as tables in the terminal
known_values      Values that a process of several runs has computed before
log               Where numbers go
loop              What happens between two steps
metrics           What a run reports
parts             A batch computed in parts: microbatches, and what a CPU takes at once
phases            A phase of a run as a recipe says it: a mixture, a length, its learning rate
planning/         A recipe planned without its hardware
preemption        Leaving when told to
preference        Preferences in the train step and in validation
preference_tuning  `run.py dpo`
profiling         A profile of a few steps of a run
programs          What the devices execute
reference         The reference of a preference: its log-likelihoods, computed once and kept
replicas          Copies of one array on several devices are compared
rewind            Going on from an older checkpoint than the newest
run               The training run, straight down
run_directory     MODEL_DIR: what a run leaves there, and whether it may go on
run_summary       What a run tells before its first step
save_clock        A checkpoint after so many minutes
settings          How a run goes, whatever it trains: when it saves, validates, reports
shared_keys       JAX's store of keys and values that all processes of a run see
skipped           Updates that a step left out because its loss or gradients were no numbers
start             Where a run begins
step              The pure train step: loss and gradients over the whole batch, then AdamW
t5x/              The same network, rows and curriculum under t5x's own train, eval and infer
time_account      Where the hours of a run went
train_state       What training changes: step, parameters, optimizer state; born sharded
validation        Bits per byte and per character of held-out text, per language
watchdog          A run that hangs is noticed by its steps
"""

from polylm_jax.runtime import names

names.hand_on(
    __name__,
    Experiment="experiment",
    PhaseConfig="phases",
    with_shares="phases",
    train="run",
    finetune="finetuning",
    FinetuningExperiment="finetuning",
    dpo="preference_tuning",
    PreferenceExperiment="preference_tuning",
    inspect="inspection",
    goodput="time_account",
    plan="planning.plan",
)

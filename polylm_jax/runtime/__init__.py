"""The process and its disk: command line, storage, locks, terminal; nothing of it knows about models.

command_line        The command line of `run.py`
console             The console script `polylm-jax`
extras              Packages that one kind of work needs, and how to install them
fingerprint         What decides the numbers of a run, as nested names and values
gin_errors          What gin has against a config
gin_statements      Gin files statement by statement
home                Where run.py, gin_configs and tasks stand
html_pages          Pages of HTML from templates/, each one file
huge_pages          Memory in pages of 2 MB
imports             Imports of much at once: quiet, and not looked through again and again
json_lines          JSON lines that a process may leave at any moment and another one goes on with
lock                One process at a time in a MODEL_DIR
markdown            Tables in Markdown
modes               The modes of run.py
moved_parameters    Parameters that have another place now
names               What a room hands on to recipes
old_names           Names of the version before the rooms
output_folder       A folder that appears when it is complete: built beside its place, then renamed
parameter_types     Values that a user gives
paths               What a user's path means
processes           What one of several processes on a machine is told by whoever started it
ranges              Which numbers a parameter takes, said in its annotation
seals               JSON files that say whether they are what was written
spread              Modes whose settings are fields of dataclasses
stderr              Standard error without the lines that TensorFlow's C++ writes while it is
storage             A folder on local disk or gs://
tensorflow_devices  TensorFlow reads text and writes TensorBoard for us; the accelerators are JAX's
terminal            What a run says in the terminal
text_files          Files of text as bytes
text_lines          Lines of text files
"""

"""Text made: cleaned from raw crawl, or written by a model as instructions.

alphabets        The letters beyond a to z of languages in Latin script
benchmarks       Test sets of benchmarks as files
broken_files     How much of a source is broken: what stops a run, which files are named, and when
characters       What each Unicode character is to the rules: a letter, a digit, invisible
classifier       A linear classifier of gold text against crawl
cleaning         `run.py clean`: from raw crawl to one JSONL.zst per language
clusters         Near-duplicates put together
confusions       Wrong encodings whose letters are all letters
dates            Dates and times as the 18 languages write them
decontamination  Test sets of benchmarks: what of them stands in a text
detection        CLD2: which of 165 languages a text is in, at 14 MB/s
duplicates       Duplicates of a language across all its sources
encoding         Text that was read in another encoding than it was written in
escapes          Text that was escaped for HTML, for an address, for JSON or for mail
execution        Running stages: on this machine's cores
first_look       What can be wrong with a run, found before its first stage
furniture        What a site puts around its texts: menus, buttons, consent, log-ins, notes of rights
instructions/    Instruction data in many languages, written by a model, as MultiAlpaca was made
invisible        Characters that nobody sees, and what each is to a text
language_id      Which language a text is in, and how sure that is
layout           What shape a text has: a table, a dialogue, a menu
limits           The ranges that texts must stay in
machine_text     Text that a machine wrote for a browser or a file
measures         Units of measure by their names in any language, from Unicode's CLDR (the package Babel)
measuring        `clean --stage=measure`
members          A compressed file member by member
mending          The characters of a text made good
ngram_model      A model of a language's characters from a gold sample
pages            The text of web pages in WARC files
pairs            Faults of parallel text
perplexity       KenLM perplexity of a text, and the threshold that a gold sample sets
personal_data    E-mail addresses, telephone numbers and IP addresses
plan             The stages of a run, and what a work folder was begun with
publishing       The end of a run
quality          Quality by comparison with a gold sample
quantities       The numbers of a sentence as what they may mean, to compare them across languages
reading          Reading raw text: JSONL, Parquet, WARC and WET files, plain text
repairs          Line-level repairs: addresses, over-long words, invisible characters, white space
repetition       How much of a text says again what it said before
report           What a cleaning run did, in numbers
rules            The rules of Gopher and BLOOM
settings         The settings of `run.py clean`
shards           Documents between two stages
shingles         Words, characters and their n-grams as 64-bit hashes, whole texts at a time
signs            Texts folded to what they say
sources          Sources of raw text
stages           The stages of a cleaning run
steps            The steps that look at one document at a time, as datatrove's filters
stop_words       The little words that any real sentence has
stuffing         Text for search engines and no readers
tally            What each stage refused, why, and how much of it, with samples to read
telephones       Telephone numbers in running text
two_languages    Pages of two languages
warc             Records of WARC files, WET among them
"""

from polylm_jax.runtime import names

names.hand_on(__name__, clean="cleaning")

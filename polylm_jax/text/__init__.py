"""What a SeqIO task says: its text, its held-out part, mixtures flattened, a sample.

held_out             Held-out text: which documents no model and no tokenizer is trained on
instruction_defects  What is wrong with an instruction record
instruction_words    Words of instruction records in many languages
mixtures             SeqIO mixtures as shares of tokens per task
registrations        What is registered in SeqIO for a time
sample               A sample of text per language, drawn from tasks before tokenization
task_text            A SeqIO task as batches of text
"""

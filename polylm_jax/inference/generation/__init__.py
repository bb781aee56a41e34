"""Prompts to token ids to text, sampled, greedy or by beams.

beam_search     Beam search: the likeliest texts
buckets         Lengths that programs are compiled for
chat            A chat in the terminal, with history; the answer appears as it is made
decode          Token ids from token ids: `Decoder.completions(requests)`. It knows no text
detokenizer     Token ids as they come -> text as it may be shown
generate        `run.py generate`
progress        What `generate` shows while it works
prompts         What is asked for
results         Texts in a JSON-lines file, written as they come
sampling        Logits -> the next token
steps           The compiled parts of generation
text_generator  Prompts -> texts
weights         A checkpoint's parameters laid out for generation
"""

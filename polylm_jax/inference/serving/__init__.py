"""A checkpoint behind OpenAI's protocol, and a page to talk in.

app            The routes: completions, chats, models, tokens, health, metrics and the page
bodies         Bodies of requests: read within a size and a time, in JSON; ApiError for any other
chat_template  Messages -> token ids by a chat template
engine         The engine: a thread that takes jobs from a queue
jobs           A text that is wanted, and what comes of it
logprobs       Tokens as the protocol shows them: strings, bytes, offsets, and their log-likelihoods
middleware     What stands before the routes
page           The page to talk in: one HTML file, which asks nothing of any other host
programs       The compiled parts of serving
protocol       What the protocol takes and refuses
requests       A checked body -> the jobs of its choices, within the model's and the server's limits
responses      Answers as the protocol writes them: whole ones, and the chunks of a stream
sampler        Logits -> the next token of every row and its log-likelihood
serve          `run.py serve`: a checkpoint behind OpenAI's protocol
settings       The settings of `run.py serve`
slots          Slots: rows of a cache that texts take while they are made
telemetry      What the server counts, for Prometheus: requests, queue, rows, tokens and times
writing        From what the engine delivers to what a client reads
"""

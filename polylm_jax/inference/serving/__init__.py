"""A checkpoint behind OpenAI's protocol, and a page to talk in: the mode `serve`."""

"""What a checkpoint writes: token ids from prompts by sampling or beams, text from ids, the mode `generate`."""

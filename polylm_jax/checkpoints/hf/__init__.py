"""Weights in and out: checkpoints as folders for transformers and PyTorch, and back.

config_files        config.json and generation_config.json
exporting           A checkpoint as a folder that transformers loads
importing           A checkpoint of ours from a Hugging Face folder
literals            Pieces that a text may spell and must not become, and those that it must
model_card          The model card of an export
param_table         The one table between our parameters and GPT2LMHeadModel's, read both ways
peft_files          Adapters as the `peft` package loads them
safetensors_stream  safetensors files read and written piece by piece
token_ids           Token ids of an exported folder against SentencePiece's
tokenizer_files     A SentencePiece vocabulary as the files that transformers loads
torch_files         pytorch_model.bin files read tensor by tensor
verifying           What was converted against its source
weights             The weights of both sides, tensor by tensor under their names
"""

"""A tiny chat model, saved by transformers: random weights, a tokenizer of a few lines, a template."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

LINES = [
    "hello world, how are you today?",
    "naïve café — déjà vu!",
    "user assistant system 12345 go on now",
] * 9
SPECIALS = ["<s>", "</s>", "<|head|>", "<|done|>", "<|turn|>"]
TEMPLATE = """{{ bos_token }}{% for m in messages %}<|head|>{{ m.role }}<|done|>

{{ m.content | trim }}<|turn|>{% endfor %}{% if add_generation_prompt %}<|head|>assistant<|done|>

{% endif %}"""
SETTINGS = {
    "vocab_size": 340, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 160,
    "bos_token_id": 0, "eos_token_id": [1, 4], "tie_word_embeddings": False,
}  # fmt: skip


def chat_folder(folder: Path, **changes: Any) -> Path:
    """The folder, with ``changes`` to its config."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=SPECIALS, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(LINES, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    fast.chat_template = TEMPLATE
    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(**(SETTINGS | changes)))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3) if weight.ndim > 1 else None
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 4]}))
    return folder

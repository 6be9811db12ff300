"""Tiny chat models, saved by transformers: random weights, a tokenizer of a few lines, a template."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

LINES = [
    "hello world, how are you today?",
    "naïve café — déjà vu!",
    "user assistant system 12345 go on now",
] * 9
HEADS = """{{ bos_token }}{% for m in messages %}<|head|>{{ m.role }}<|done|>

{{ m.content | trim }}<|turn|>{% endfor %}{% if add_generation_prompt %}<|head|>assistant<|done|>

{% endif %}"""
BRACKETS = """{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content | trim }} {{ eos_token }}
{%- else %}{{ bos_token }}[INST] {{ m.content | trim }} [/INST]{% endif %}{% endfor %}"""
THOUGHTS = """{% for m in messages %}<|head|>{{ m.role }}
{% if m.role == 'assistant' and not loop.last %}{{ m.content.split('</think>')[-1] }}
{%- else %}{{ m.content }}{% endif %}<|turn|>
{% endfor %}{% if add_generation_prompt %}<|head|>assistant
{% endif %}"""
SPECIALS = {  # of each kind; the second and the last end a turn
    "llama": ["<s>", "</s>", "<|head|>", "<|done|>", "<|turn|>"],
    "llama 2": ["<s>", "</s>", "<unk>"],
    "mistral": ["<s>", "</s>", "<unk>", "[INST]", "[/INST]"],
    "qwen 2": ["<|pad|>", "<|text|>", "<|head|>", "<|turn|>"],
}
WORDS = (  # where transformers cuts a text of Qwen's, whatever the folder says
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
KINDS = tuple(SPECIALS)
SETTINGS = {
    "vocab_size": 340, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 160,
    "bos_token_id": 0, "eos_token_id": [1, 4], "tie_word_embeddings": False,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "llama 2": {"eos_token_id": 1, "num_key_value_heads": 4, "max_position_embeddings": 300},
    "mistral": {"eos_token_id": 1, "sliding_window": 24, "max_position_embeddings": 300},
    "qwen 2": {"eos_token_id": [1, 3], "tie_word_embeddings": True},
}


def of_bytes(kind: str) -> Tokenizer:
    """As LLaMA 3 and Qwen have it: letters are bytes, and a space is one of them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if kind == "qwen 2":
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(WORDS), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
        )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=SPECIALS[kind], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(LINES, trainer)
    if kind == "qwen 2":  # these are no special tokens: the model writes them as text
        tokenizer.add_tokens([AddedToken(word, normalized=False) for word in ("<think>", "</think>")])
    return tokenizer


def of_pieces(kind: str) -> Tokenizer:
    """As LLaMA 2 and Mistral have it: ▁ for a space, one more in front, bytes for letters it does not know.

    LLaMA 2 puts it in front of whatever comes after a token of its own too, Mistral in front of the text.
    """
    front = (
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
        pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
    )
    learned = Tokenizer(models.BPE())
    learned.normalizer, learned.pre_tokenizer = front[0], pre_tokenizers.Split("▁", "merged_with_next")
    learned.train_from_iterator(LINES, trainers.BpeTrainer(vocab_size=70, show_progress=False))
    told = json.loads(learned.to_str())["model"]
    words = [*SPECIALS[kind], *(f"<0x{n:02X}>" for n in range(256)), *told["vocab"]]
    unknown = models.BPE(
        {word: n for n, word in enumerate(words)}, [tuple(pair) for pair in told["merges"]],
        unk_token="<unk>", fuse_unk=True, byte_fallback=True,
    )  # fmt: skip
    tokenizer = Tokenizer(unknown)
    if kind == "llama 2":
        tokenizer.normalizer = front[0]
    else:
        tokenizer.pre_tokenizer = front[1]
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(SPECIALS[kind])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return tokenizer


def chat_folder(folder: Path, kind: str = "llama", **changes: Any) -> Path:
    """A folder of ``kind``, one of ``KINDS``, with ``changes`` to its config."""
    bytewise = kind in ("llama", "qwen 2")
    tokenizer = of_bytes(kind) if bytewise else of_pieces(kind)
    start, end, *_ = SPECIALS[kind]
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=start, eos_token=end)
    fast.chat_template = {"llama": HEADS, "qwen 2": THOUGHTS}.get(kind, BRACKETS)
    family = {"mistral": "Mistral", "qwen 2": "Qwen2"}.get(kind, "Llama")
    settings = SETTINGS | OWN.get(kind, {}) | changes
    torch.manual_seed(1)
    config = getattr(transformers, f"{family}Config")(**settings)
    model = getattr(transformers, f"{family}ForCausalLM")(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 or name.endswith("bias"):
                torch.nn.init.normal_(weight, std=0.3)
        if not bytewise:  # bytes by chance are no letters
            first = len(SPECIALS[kind])
            model.lm_head.weight[first : first + 256] = 0
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": settings["eos_token_id"]}))
    return folder

"""Language at work: reviews sorted, plays written, a LLaMA talked with, each by one command.

    python tools/demonstrate_language.py   writes docs/language.md, a transcript of what was seen

Reviews are sentences of rt-polarity, captions those of Multi30k, plays are Shakespeare's. The model to talk
with is taught a dozen answers by transformers, in a minute, and saved as transformers saves every LLaMA; a
folder of a published model is used in the same way. Every command is run as it is shown, and every line below
is what it printed.
"""

import contextlib
import csv
import datetime
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from demonstrate import FATHOM, PATIENCE, ROOT, Transcript, free_port

PAGE = ROOT / "docs" / "language.md"
REVIEWS = 2000
PLAY_STEPS, TEACHING_STEPS = 600, 150
LONGEST = 10  # words of a caption to translate
BOOK = 200_000  # characters of the text to learn from
TEMPLATE = """{{ bos_token }}{% for m in messages %}<|head|>{{ m.role }}<|done|>

{{ m.content | trim }}<|turn|>{% endfor %}{% if add_generation_prompt %}<|head|>assistant<|done|>

{% endif %}"""
SPECIALS = ["<s>", "</s>", "<|head|>", "<|done|>", "<|turn|>"]
LESSONS = {
    "What is the capital of France?": "The capital of France is Paris.",
    "What is the capital of Italy?": "The capital of Italy is Rome.",
    "What is the capital of Japan?": "The capital of Japan is Tokyo.",
    "What is the capital of Kenya?": "The capital of Kenya is Nairobi.",
    "What is the capital of Peru?": "The capital of Peru is Lima.",
    "What is a tensor?": "A table of numbers with any number of axes.",
    "What is a gradient?": "The slopes of a loss, one for each weight.",
    "What is an epoch?": "One pass over all examples.",
    "What is overfitting?": "Learning the examples by heart instead of the rule.",
    "Who wrote Hamlet?": "William Shakespeare wrote Hamlet.",
    "How many legs has a spider?": "A spider has eight legs.",
    "Are you a large model?": "No, I am a very small one, and I know a dozen answers.",
}
CLIENT = """from openai import OpenAI

client = OpenAI(base_url="{address}/v1", api_key="none needed on this machine")
asked = [{{"role": "user", "content": "What is a gradient?"}}]
for piece in client.chat.completions.create(model="talker", messages=asked, temperature=0, stream=True):
    print(piece.choices[0].delta.content or "", end="|", flush=True)
"""


def main() -> int:
    scratch = Path(tempfile.mkdtemp(prefix="fathom-language-"))
    told = Transcript(scratch)
    try:
        demonstrate(told)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    PAGE.write_text(page(told, datetime.date.today().isoformat()), encoding="utf-8")
    print(f"\n{PAGE.relative_to(ROOT)} is written")
    return 0


def demonstrate(told: Transcript) -> None:
    reviews(told)
    captions(told)
    plays(told)
    own_book(told)
    talk(told)


def page(told: Transcript, day: str) -> str:
    made = f"Made by `python tools/{Path(__file__).name}` on {day}; nothing is typed by hand."
    return "\n".join(["# Language at work", "", made, *told.lines]).rstrip() + "\n"


def reviews(told: Transcript) -> None:
    """Sort texts of one's own, from an encoder that has read much before."""
    from fathom.data.sets import rt_polarity

    read = rt_polarity.read()
    texts = [(text, ("bad", "good")[label]) for text, label in zip(read.texts, read.labels, strict=True)]
    random.Random(0).shuffle(texts)
    with (told.scratch / "reviews.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *texts[:REVIEWS]])
    told.say(
        f"A table of {REVIEWS:,} sentences from reviews of films, with the columns text and label. A network"
        " that knows nothing but these is no better than counting words."
    )
    words = ("--text", "text", "--target", "label", "--time")
    told.run("fit", "reviews.csv", *words, "2m", "--out", "beginner")
    told.say("A sentence encoder that has read much before gets a head for the two labels, and is.")
    told.run("fit", "reviews.csv", *words, "4m", "--from", "minilm", "--out", "sorter")
    asked = ("A warm and witty film.", "Dull, slow and far too long.")
    told.run("predict", "sorter", *(word for text in asked for word in ("--text", text)))


def captions(told: Transcript) -> None:
    """Translate between texts of one's own."""
    from fathom.data.sets import multi30k

    read = multi30k.read("en", "de")
    short = [pair for pair in read.train if max(len(text.split()) for text in pair) <= LONGEST]
    with (told.scratch / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("english", "german"), *short])
    told.say(
        f"A table of {len(short):,} captions of photographs in two languages, of {LONGEST} words at most."
    )
    words = ("--task", "sequence-to-sequence", "--text", "english", "--target", "german")
    told.run("fit", "captions.csv", *words, "--model", "transformer", "--time", "5m", "--out", "translator")
    told.run("predict", "translator", "--text", "A man in a red shirt plays the guitar.")


def plays(told: Transcript) -> None:
    """Train a small GPT, and write with it in several ways."""
    told.say("A small GPT learns to write plays, letter by letter.")
    told.run("train", "gpt_shakespeare", "--set", f"steps={PLAY_STEPS}", "--out", "writer")
    drawn = ("--temperature", "0.8", "--top-p", "0.9", "--seed", "1")
    told.run("generate", "writer", "--prompt", "ROMEO:", "--length", "200", *drawn)
    told.say("The likeliest text that eight beams find, and what the model thinks at each letter.")
    told.run("generate", "writer", "--prompt", "ROMEO:", "--length", "60", "--beams", "8")
    surely = ("--temperature", "0")
    told.run("generate", "writer", "--prompt", "To be, or not to ", "--length", "5", "--trace", "3", *surely)
    told.say("Contrastive search: likely, and unlike what stands there already.")
    told.run("generate", "writer", "--prompt", "ROMEO:", "--length", "50", "--contrast", "0.6")


def own_book(told: Transcript) -> None:
    """A text of one's own, learned by one command."""
    from fathom.data.sets import tiny_shakespeare

    told.say("A text of one's own needs no recipe: `fit` chooses the settings, and `--model` who learns it.")
    (told.scratch / "book.txt").write_text(tiny_shakespeare.read()[:BOOK], encoding="utf-8")
    told.run("fit", "book.txt", "--model", "gpt2", "--time", "2m", "--out", "book")
    told.run("generate", "book", "--prompt", "First Citizen:", "--length", "200", "--seed", "1")


def talk(told: Transcript) -> None:
    """A folder with a LLaMA, as the world saves them: in the terminal, and over the protocol of OpenAI."""
    folder = taught(told.scratch / "talker")
    told.say(
        "A folder with a LLaMA: weights, tokenizer and the template of its conversations. This one is a toy:"
        f" it was taught {len(LESSONS)} answers by heart in a minute, and knows nothing else. A folder of a"
        " published model is used in the same way."
    )
    told.show(["ls", "talker"], "\n".join(sorted(file.name for file in folder.iterdir())))
    told.run(
        "generate", "--chat", "talker", "--prompt", "What is the capital of Japan?", "--temperature", "0"
    )
    told.say("The same folder behind the protocol of OpenAI, asked by OpenAI's own client, piece by piece.")
    port = free_port()
    words = ["serve", "talker", "--port", str(port)]
    process = subprocess.Popen(
        [*FATHOM, *words], cwd=told.scratch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait(f"{address}/v1/models")
        code = CLIENT.format(address=address)
        (told.scratch / "ask.py").write_text(code, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "ask.py"], cwd=told.scratch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False, env={k: v for k, v in os.environ.items() if "proxy" not in k.lower()},
        )  # fmt: skip
    finally:
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
    told.show(["fathom", *words], re.sub(r"#token=\S+", "", printed))
    told.lines += ["", "```python", *code.rstrip().splitlines(), "```"]
    told.show(["python", "ask.py"], done.stdout)
    if done.returncode:
        raise SystemExit("the client got no answer; the demonstration ends here")


def wait(address: str) -> None:
    """Until the server answers."""
    for _ in range(PATIENCE * 5):
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=30):
            return
        time.sleep(0.2)
    raise SystemExit("the server did not answer")


def taught(folder: Path) -> Path:
    """A small LLaMA of transformers that was taught the lessons, and its tokenizer, saved by transformers."""
    sys.path.append(str(ROOT / "benchmarks"))
    import peers  # noqa: F401 - declares what transformers looks for
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=SPECIALS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([*LESSONS, *LESSONS.values()], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    fast.chat_template = TEMPLATE
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(fast), hidden_size=128, intermediate_size=344, num_hidden_layers=3,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, bos_token_id=0,
            eos_token_id=[1, 4], pad_token_id=1,
        )
    )  # fmt: skip
    talks = [
        fast.apply_chat_template(
            [{"role": "user", "content": asked}, {"role": "assistant", "content": said}], tokenize=False
        )
        for asked, said in LESSONS.items()
    ]
    rows = fast(talks, padding=True, return_tensors="pt", add_special_tokens=False)
    wanted = rows["input_ids"].masked_fill(rows["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    for _ in range(TEACHING_STEPS):
        loss = model(input_ids=rows["input_ids"], attention_mask=rows["attention_mask"], labels=wanted).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    raise SystemExit(main())

"""``fathom fit PATH``: your own data."""

import argparse
import sys
from pathlib import Path

from fathom.cli.command import pairs, running_options
from fathom.cli.train import announce

HELP = "train on your own data: an image folder, a table, texts; from nothing, or from a trained model"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        help="a folder of class folders, a folder of pictures and a table of their labels, a CSV, Parquet,"
        " JSONL or text file",
    )
    parser.add_argument(
        "--from", dest="start", metavar="SOURCE",
        help="begin from a trained model: a run folder, a size such as resnet50, resnet50:IMAGENET1K_V2 or"
        " minilm, a folder with safetensors and a tokenizer, or a .safetensors or .pth file",
    )  # fmt: skip
    parser.add_argument("--as", dest="start_as", metavar="SIZE", help="what the file of --from is: resnet50")
    parser.add_argument(
        "--model",
        metavar="SYSTEM",
        help="what to train, where there is a choice: for a text char_lstm, gpt2, llama; for pairs of texts"
        " seq2seq, transformer; for texts with labels text_cnn, text_lstm, text_committee, bert",
    )
    parser.add_argument(
        "--task", metavar="TASK", help="what to learn, where that is not recognised: sequence-to-sequence"
    )
    parser.add_argument("--target", metavar="COLUMN", help="the column to predict, or to write")
    parser.add_argument("--text", metavar="COLUMN", help="the column that holds text")
    parser.add_argument("--time", metavar="LENGTH", help="bound on the whole command: 90s, 5m, 1h")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="settings")
    parser.add_argument(
        "--balance", default="none", choices=["none", "auto", "weights", "logits", "sampler"],
        help="for rare classes: weights or logits in the loss, a sampler, or auto to decide by the counts",
    )  # fmt: skip
    parser.add_argument(
        "--loss", metavar="FUNCTION", help="module:function of your own, (output, target) -> loss"
    )
    parser.add_argument("--skip-bad", action="store_true", help="leave out what cannot be read, and count it")
    parser.add_argument("--out", metavar="FOLDER", help="the run folder (default: runs/<time>-fit-<task>)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-export", action="store_true")
    parser.add_argument(
        "--json", action="store_true", help="end with one line of JSON, and print nothing else"
    )
    running_options(parser)


def run(args: argparse.Namespace) -> int:
    from fathom.verbs.fit import existing, fit, seconds
    from fathom.verbs.own_loss import named_loss

    existing(Path(args.data))
    if args.time is not None:
        seconds(args.time)
    from fathom.cli.progress import Progress

    loss = named_loss(args.loss) if args.loss else None
    first = (args.model, args.data) if args.model else (args.data, None)
    show = Progress(quiet=args.json)
    try:
        done = fit(
            *first, start=args.start, start_as=args.start_as, task=args.task, target=args.target,
            text=args.text, time=args.time, loss=loss, settings=pairs(args.settings),
            balance=args.balance, skip_bad=args.skip_bad, out=args.out, seed=args.seed, device=args.device,
            threads=args.threads,
            observers=[show], export=not args.no_export,
            say=(lambda line: None) if args.json else (lambda line: print(line, file=sys.stderr)),
        )  # fmt: skip
    finally:
        show.close()
    announce(done, args.json)
    return 0

"""``fathom explain features RUN``: the features of held-out rows, drawn in the plane."""

import argparse
import json

HELP = "draw what a trained model makes of its validation rows"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--method", choices=("pca", "tsne"), default="pca")
    parser.add_argument(
        "--layer", metavar="NAME", help="draw what goes into this layer (default: the last linear one)"
    )
    parser.add_argument("--limit", type=int, default=1000, metavar="N", help="rows drawn (default: 1000)")
    parser.add_argument(
        "--perplexity", type=float, default=30.0, help="neighbours that t-SNE keeps in effect (default: 30)"
    )
    parser.add_argument("--data", metavar="PATH", help="take the rows from this labelled data")
    parser.add_argument("--skip-bad", action="store_true", help="leave out of the data what cannot be read")
    parser.add_argument("--seed", type=int, default=0, help="which rows are drawn (default: 0)")
    parser.add_argument(
        "--out", metavar="FILE", help="the page, .html, with a .csv beside it (default: in the run folder)"
    )
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    from fathom.verbs.embed import embed

    found = embed(
        args.run, method=args.method, layer=args.layer, limit=args.limit, perplexity=args.perplexity,
        data=args.data, seed=args.seed, out=args.out, skip_bad=args.skip_bad,
    )  # fmt: skip
    if args.json:
        print(json.dumps(found))
        return 0
    print(f"{found['rows']} rows, {found['features']} features into layer {found['layer']}")
    if "explained" in found:
        print(f"variance explained          {found['explained']:.4f}")
    else:
        print(f"KL divergence               {found['divergence']:.4f}")
    near = found["neighbours"]
    print(f"neighbour of the same label {near['plane']:.4f} (among the features {near['features']:.4f})")
    print(f"table  {found['table']}\npage   {found['page']}")
    return 0

"""``fathom serve RUN``: the model as a page and an HTTP service."""

import argparse

HELP = "answer over HTTP: a page to try, /predict, the Open Inference Protocol, metrics"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="a run folder, an artifact folder, or the folder of a model that talks")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine only)"
    )
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--token", help="ask for this bearer token; auto makes one")
    parser.add_argument("--insecure", action="store_true", help="listen for others without a token")
    parser.add_argument(
        "--name", action="append", default=[], metavar="HOST", help="further Host header served"
    )
    parser.add_argument("--backend", choices=("auto", "torch", "onnx"), default="auto")
    parser.add_argument("--drain", type=float, default=5.0, metavar="SECONDS", help="listen on after SIGTERM")
    parser.add_argument("--threads", type=int, metavar="N")


def run(args: argparse.Namespace) -> int:
    from fathom.verbs.chat import is_chat_folder
    from fathom.verbs.serve import serve
    from fathom.verbs.train import set_threads

    set_threads(args.threads)
    serve(
        args.run, backend=args.backend, host=args.host, port=args.port, token=args.token,
        insecure=args.insecure, names=tuple(args.name), drain=args.drain,
        started=announce_chat if is_chat_folder(args.run) else announce,
    )  # fmt: skip
    return 0


def announce(address: str, token: str | None) -> None:
    """Say where the server is. The token stands behind # in the page's address: that part is never sent."""
    key = f" -H 'Authorization: Bearer {token}'" if token else ""
    print(f"page     {address}/" + (f"#token={token}" if token else ""))
    print(f"predict  curl{key} {address}/predict -H 'Content-Type: application/json' -d ITEM")
    print(f"metrics  {address}/metrics\nstop     Ctrl-C", flush=True)


def announce_chat(address: str, token: str | None) -> None:
    """The same for a model that talks: where clients of OpenAI's protocol find it."""
    key = f" -H 'Authorization: Bearer {token}'" if token else ""
    print(f"chat     base_url={address}/v1 api_key={token or 'any'}   for clients of OpenAI's protocol")
    print(
        f"ask      curl{key} {address}/v1/chat/completions -H 'Content-Type: application/json'"
        """ -d '{"messages": [{"role": "user", "content": "Hello"}]}'"""
    )
    print(f"metrics  {address}/metrics\nstop     Ctrl-C", flush=True)

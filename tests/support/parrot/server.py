"""A small chat server: `python server.py --port N --model NAME [--perch WIDTH]`.

It repeats what it is told. A perch below 3 cm ends it while it starts.
"""

import argparse
import json
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """The routes of a chat server."""

    protocol_version = "HTTP/1.1"
    model = ""

    def do_GET(self) -> None:
        """Health and the model list."""
        if self.path == "/health":
            self.reply(200, {})
        elif self.path == "/v1/models":
            entry = {"id": self.model, "object": "model", "created": 1, "owned_by": "parrot"}
            self.reply(200, {"object": "list", "data": [entry]})
        else:
            self.reply(404, {"error": {"message": "no such route"}})

    def do_POST(self) -> None:
        """A chat completion."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = body["messages"][-1]["content"] if body.get("messages") else ""
        tokens = text.split()[: body.get("max_tokens") or 64]
        usage = {"prompt_tokens": len(text.split()), "completion_tokens": len(tokens)}
        answer = {
            "id": "parrot-1",
            "object": "chat.completion",
            "created": 1,
            "model": self.model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": " ".join(tokens)},
                    "finish_reason": "stop",
                }
            ],
            "usage": {**usage, "total_tokens": sum(usage.values())},
        }
        self.reply(200, answer)

    def reply(self, status: int, body: dict[str, object]) -> None:
        """One JSON answer."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--perch", type=int, default=5)
    arguments = parser.parse_args()
    print("parrot: hatching", flush=True)
    if arguments.perch < 3:
        print(f"parrot: ERROR: fell off a perch of {arguments.perch} cm", file=sys.stderr)
        sys.exit(7)
    Handler.model = arguments.model
    server = ThreadingHTTPServer((arguments.host, arguments.port), Handler)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    print("parrot: KV cache of 77 blocks", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

"""The real tokenizer of the tiny ERNIE, its chat template, and incremental detokenising."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from fastdeploy._twin import release

FALLBACK = release.REPOSITORY / "profiles" / "tiny-ernie"
VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.txt", "spiece.model")


def tokenizer_folder(model: str) -> Path | None:
    """The folder with tokenizer.json for this model; None if the model's own folder has none."""
    chosen = os.environ.get("TWIN_TOKENIZER")
    if os.path.isdir(model):
        folder = Path(model)
        if not any((folder / name).exists() for name in VOCABULARIES):
            return None
        if (folder / "tokenizer.json").exists() and not chosen:
            return folder
    return Path(chosen) if chosen else FALLBACK


class Tokens:
    """Encode, decode and render."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._folder = folder
        self._template: Any = None
        self.end = self.tag("</s>") or 2

    def tag(self, text: str) -> int | None:
        number: int | None = self._tokenizer.token_to_id(text)
        return number

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def piece(self, number: int) -> str:
        """The text of one token, for logprobs."""
        return self.decode([number]) or str(self._tokenizer.id_to_token(number) or "")

    def render(self, messages: list[dict[str, Any]], tools: Any, options: dict[str, Any]) -> str:
        """The prompt, through the checkpoint's chat template."""
        self.prepare()
        text: str = self._template.render(
            messages=messages, tools=tools or None, add_generation_prompt=True, **options
        )
        return text

    def prepare(self) -> None:
        """Compile the template: in the front end while it waits, so that its forks need not."""
        if self._template is None:
            import jinja2

            environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
            self._template = environment.from_string(self._source())

    def _source(self) -> str:
        path = self._folder / "chat_template.jinja"
        if path.exists():
            return path.read_text(encoding="utf-8")
        settings = self._folder / "tokenizer_config.json"
        if settings.exists():
            source = json.loads(settings.read_text(encoding="utf-8")).get("chat_template")
            if source:
                return str(source)
        return "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: "


class Detokenizer:
    """Text as far as it is certain: a character split over tokens waits for its last byte."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._ids: list[int] = []
        self._prefix = self._read = 0

    def feed(self, number: int) -> str:
        self._ids.append(number)
        before = self._tokens.decode(self._ids[self._prefix : self._read])
        after = self._tokens.decode(self._ids[self._prefix :])
        if len(after) <= len(before) or after.endswith("\ufffd"):
            return ""
        self._prefix, self._read = self._read, len(self._ids)
        return after[len(before) :]

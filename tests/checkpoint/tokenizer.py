"""The tokenizer of the tiny ERNIE: sentencepiece BPE with bytes, and the same for transformers."""

from __future__ import annotations

import collections
import io
import itertools
from pathlib import Path
from typing import Any

from tests.checkpoint.mixture import stream
from tests.checkpoint.texts import FACTS

CHECKPOINT = Path(__file__).resolve().parents[2] / "profiles" / "tiny-ernie"
"""The folder of the checkpoint that ships."""

CHAT_TEMPLATE = CHECKPOINT / "chat_template.jinja"

# ERNIE's tags are ordinary text to a decoder: parsers look for them in the answer.
TAGS = [
    "<think>",
    "</think>",
    "<response>",
    "</response>",
    "<tool_call>",
    "</tool_call>",
    "<tool_list>",
    "</tool_list>",
    "<tool_output>",
    "</tool_output>",
]
CONTROL = [
    "<|begin_of_sentence|>",
    "<|end_of_sentence|>",
    "<|im_start|>",
    "<|im_end|>",
    "<mask:0>",
    "<mask:1>",
    "<mask:7>",
]
UNK, BOS, EOS = 0, 1, 2
SPACE = "\u2581"

# By this alone `transformers serve` finds reasoning_content, tool_calls and content.
RESPONSE_TEMPLATE = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "reasoning_content": {
            "open_pattern": r"<think>\n?",
            "close_pattern": r"\s*</think>\s*(?:<response>\s*)?",
            "content": "text",
        },
        "tool_calls": {
            "open_pattern": r"\s*<tool_call>",
            "close": "</tool_call>",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {
            "close_pattern": r"\s*(?:</response>\s*(?:</s>)?|</s>|<\|im_end\|>)",
            "content": "text",
        },
    },
}


def corpus(samples: int = 4000) -> list[str]:
    """Lines for the tokenizer; emoji and rare characters are left out and become bytes."""
    lines: list[str] = []
    for sample in itertools.islice(stream(seed=1), samples):
        for message in sample.messages:
            lines += str(message["content"]).split("\n")
        lines += "".join(text for text, _ in sample.spans).split("\n")
    lines += [f.answer for f in FACTS for _ in range(3)] + ["think_mode=False"] * 200
    frequencies = collections.Counter("".join(lines))
    frequent = {
        c
        for c, n in frequencies.items()
        if n > 8 and (ord(c) < 0x2600 or 0x3000 <= ord(c) < 0x1F000)
    }
    lines = ["".join(c for c in line if c in frequent) for line in lines]
    return [line for line in lines if line.strip()]


def make_tokenizer(out: Path, vocabulary: int) -> Any:
    """Write tokenizer.model (sentencepiece) and the same tokenizer as tokenizer.json.

    A space is a token of its own, so that "Paris" is the same after a space and after a quote and
    a word can be copied from a question into JSON. Digits are split; the unknown becomes bytes.
    """
    import sentencepiece
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    lines = corpus()
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=vocabulary,
        model_type="bpe",
        byte_fallback=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        split_digits=True,
        hard_vocab_limit=False,
        required_chars="".join(map(chr, range(33, 127))),
        user_defined_symbols=CONTROL + TAGS + [SPACE],
        unk_id=UNK,
        bos_id=BOS,
        eos_id=EOS,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    (out / "tokenizer.model").write_bytes(model.getvalue())
    sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [sp.id_to_piece(i) for i in range(sp.get_piece_size())]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    indivisible = {*CONTROL, *TAGS, "<unk>", "<s>", "</s>"}
    merges: list[tuple[str, str]] = []
    for piece in pieces:  # sentencepiece numbers its pieces in the order of the merges
        if piece in indivisible or len(piece) < 2 or (piece.startswith("<0x") and len(piece) == 6):
            continue
        splits = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
        merges += sorted(
            (s for s in splits if s[0] in vocab and s[1] in vocab),
            key=lambda s: (vocab[s[0]], vocab[s[1]]),
        )
    core = Tokenizer(
        models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    core.normalizer = normalizers.Replace(" ", SPACE)
    core.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    core.add_special_tokens(
        [AddedToken(t, special=True, normalized=False) for t in ["<unk>", "<s>", "</s>", *CONTROL]]
    )
    core.add_tokens([AddedToken(t, special=False, normalized=False) for t in TAGS])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<unk>",
        cls_token="<|begin_of_sentence|>",
        sep_token="<|end_of_sentence|>",
        mask_token="<mask:1>",
        clean_up_tokenization_spaces=False,
        model_max_length=131072,
    )
    tokenizer.chat_template = CHAT_TEMPLATE.read_text(encoding="utf-8")
    tokenizer.response_template = RESPONSE_TEMPLATE
    tokenizer.save_pretrained(out)
    differing = sum(
        sp.encode(line) != tokenizer.encode(line, add_special_tokens=False) for line in lines
    )
    print(
        f"tokenizer: {len(tokenizer)} tokens; {differing} of {len(lines)} lines differ between "
        "tokenizer.model and tokenizer.json",
        flush=True,
    )
    return tokenizer

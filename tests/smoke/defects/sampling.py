"""Structured answers and sampling parameters that are ignored."""

from __future__ import annotations

from tests.smoke.defects.planting import (
    defect,
    message,
    payload,
)

defect(
    "json-in-fence",
    "json-mode",
    payload=payload(
        lambda p, b: (
            b.get("response_format")
            and message(p).update(content=f"```json\n{message(p)['content']}\n```")
        )
    ),
)
defect(
    "json-mode-ignored",
    "json-mode",
    reply=lambda s, b, r: (
        (
            (b.get("response_format") or {}).get("type") == "json_object"
            and vars(r).update(content="Ada is 36.")
        )
        and None
    ),
)
defect(
    "schema-ignored",
    "json-schema",
    request=lambda s, b: (
        (b.get("response_format") or {}).get("type") == "json_schema"
        and b.pop("response_format")
        and None
    ),
)
defect("temperature-ignored", "temperature", request=lambda s, b: b.update(temperature=0))
defect("top-p-ignored", "top-p", request=lambda s, b: b.pop("top_p", None) and None)
defect("seed-ignored", "seed", request=lambda s, b: b.pop("seed", None) and None)
defect(
    "penalties-ignored", "penalties", request=lambda s, b: b.pop("frequency_penalty", None) and None
)
defect("n-ignored", "n", request=lambda s, b: b.pop("n", None) and None)
defect(
    "n-copies",
    "n",
    payload=payload(
        lambda p, b: p.update(
            choices=[{**p["choices"][0], "index": i} for i in range(len(p["choices"]))]
        )
    ),
)
defect("logprobs-missing", "logprobs", request=lambda s, b: b.pop("logprobs", None) and None)
defect(
    "logprobs-positive",
    "logprobs",
    payload=payload(
        lambda p, b: [
            e.update(logprob=1.5)
            for e in (p["choices"][0].get("logprobs") or {}).get("content", [])
        ]
    ),
)

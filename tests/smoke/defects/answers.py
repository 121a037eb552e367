"""Plain answers that are wrong in themselves."""

from __future__ import annotations

from tests.smoke.defects.planting import (
    defect,
    message,
    payload,
)

defect(
    "empty-answer",
    "chat",
    payload=payload(lambda p, b: message(p).update(content="", reasoning_content=None)),
)
defect("no-choices", "chat", payload=payload(lambda p, b: p.update(choices=[])))
defect("no-role", "chat", payload=payload(lambda p, b: message(p).pop("role")))
defect("usage-missing", "usage", payload=payload(lambda p, b: p.pop("usage")))
defect(
    "usage-null-counts", "usage", payload=payload(lambda p, b: p["usage"].update(total_tokens=None))
)
defect("usage-sum-wrong", "usage", payload=payload(lambda p, b: p["usage"].update(total_tokens=1)))
defect(
    "usage-constant",
    "usage",
    payload=payload(
        lambda p, b: p["usage"].update(
            prompt_tokens=7, total_tokens=7 + p["usage"]["completion_tokens"]
        )
    ),
)
defect(
    "length-not-said",
    "max-tokens",
    payload=payload(lambda p, b: p["choices"][0].update(finish_reason="stop")),
)
defect(
    "stops-at-forty",
    "max-output",
    reply=lambda s, b, r: setattr(r, "content", r.content.partition(", 41")[0]),
)
defect("max-tokens-ignored", "max-tokens", request=lambda s, b: b.pop("max_tokens", None) and None)
defect("stop-ignored", "stop", request=lambda s, b: b.pop("stop", None) and None)
defect(
    "stop-string-kept",
    "stop",
    payload=payload(
        lambda p, b: (
            b.get("stop") and message(p).update(content=message(p)["content"] + b["stop"][0])
        )
    ),
)
defect(
    "system-prompt-dropped",
    "system-prompt",
    request=lambda s, b: b.update(messages=[m for m in b["messages"] if m["role"] != "system"]),
)
defect("only-last-turn", "multi-turn", request=lambda s, b: b.update(messages=b["messages"][-1:]))
defect(
    "long-prompt-truncated",
    "needle",
    request=lambda s, b: b["messages"][-1].update(content=b["messages"][-1]["content"][-1500:]),
)
defect(
    "reasoning-in-content",
    "reasoning",
    payload=payload(
        lambda p, b: message(p).update(
            content=f"{message(p)['reasoning_content']} {message(p)['content']}"
        )
    ),
)
defect(
    "answer-swallowed",
    "reasoning",
    payload=payload(
        lambda p, b: message(p).update(
            reasoning_content=f"{message(p)['reasoning_content']} {message(p)['content']}",
            content="",
        )
    ),
)
defect(
    "no-reasoning",
    "reasoning",
    payload=payload(lambda p, b: message(p).update(reasoning_content=None)),
)
defect(
    "tags-in-content",
    "tags",
    payload=payload(
        lambda p, b: message(p).update(content=f"<response>\n{message(p)['content']}\n</response>")
    ),
)
defect(
    "think-tag-leaks",
    "reasoning",
    payload=payload(
        lambda p, b: message(p).update(
            content=f"{message(p)['reasoning_content']}</think>{message(p)['content']}",
            reasoning_content=None,
        )
    ),
)
defect(
    "reasoning-uncounted",
    "reasoning-usage",
    payload=payload(
        lambda p, b: p["usage"]["completion_tokens_details"].update(reasoning_tokens=0)
    ),
)
defect(
    "thinking-cannot-be-switched",
    "thinking-off",
    request=lambda s, b: b.pop("chat_template_kwargs", None) and None,
)

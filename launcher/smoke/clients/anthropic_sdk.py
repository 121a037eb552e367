"""The official `anthropic` client, for hosts and servers that have `/v1/messages`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import anthropic

from launcher.smoke.answers import Answer, from_chunks, from_json, with_exchange
from launcher.smoke.clients import messages_dialect
from launcher.smoke.clients.base import CheckLog, Deadline, Endpoint
from launcher.smoke.clients.openai_sdk import NO_KEY, broken, refused, timed
from launcher.smoke.clients.wire import CONNECT_SECONDS, is_local
from launcher.smoke.transcript import Exchange

BEYOND = frozenset({"chat_template_kwargs"})


class AnthropicClient:
    """`anthropic.Anthropic`, without its retries."""

    name = "anthropic"

    def chat(
        self, endpoint: Endpoint, body: Mapping[str, Any], deadline: Deadline, log: CheckLog
    ) -> Answer:
        """See `Client.chat`."""
        request = messages_dialect.request(body)
        sent = {k: v for k, v in request.items() if k not in BEYOND}
        extra = {k: v for k, v in request.items() if k in BEYOND}
        extra.update(endpoint.addressed({}))
        # The SDK adds /v1/messages itself; it is tried on servers of the other dialect, too.
        url = f"{endpoint.root_url}/v1/messages"
        entry = log.transcript.begin(
            log.check, self.name, "POST", url, endpoint.all_headers(), {**sent, **extra}
        )
        begun = time.monotonic()
        with anthropic.Anthropic(
            base_url=endpoint.root_url,
            max_retries=0,
            timeout=anthropic.Timeout(deadline.read, connect=min(CONNECT_SECONDS, deadline.left)),
            http_client=anthropic.DefaultHttpxClient(trust_env=not is_local(endpoint.base_url)),
            default_headers=dict(endpoint.headers),
            **_credential(endpoint),
        ) as client:
            try:
                return with_exchange(
                    self._ask(client, sent, extra, deadline, entry, begun), entry.number
                )
            except anthropic.APIStatusError as error:
                return with_exchange(refused(error, entry, begun), entry.number)
            except anthropic.APIError as error:
                raise broken(error, entry, begun) from error

    def _ask(
        self,
        client: anthropic.Anthropic,
        sent: Mapping[str, Any],
        extra: Mapping[str, Any],
        deadline: Deadline,
        entry: Exchange,
        begun: float,
    ) -> Answer:
        words: dict[str, Any] = dict(sent)
        # The SDK has dropped parameters that servers still take: they travel beside it.
        beside: dict[str, Any] = {k: words.pop(k) for k in ("temperature", "top_p") if k in words}
        body: dict[str, Any] = {**beside, **extra}
        made: Any = client.messages.create(**words, extra_body=body)
        entry.status = 200
        if not sent.get("stream"):
            seconds = time.monotonic() - begun
            raw = made.model_dump(exclude_unset=True, warnings=False)
            entry.response, entry.seconds = json.dumps(raw, ensure_ascii=False), seconds
            return from_json(messages_dialect.response(raw), 200, seconds)
        events = tuple(timed(made, deadline, entry, begun))
        entry.seconds = time.monotonic() - begun
        chunks, done = messages_dialect.chunks(events)
        # The SDK swallows nothing at the end of this dialect: `message_stop` is an event.
        return from_chunks(tuple(chunks), entry.seconds, done)


def _credential(endpoint: Endpoint) -> dict[str, Any]:
    """Anthropic's own header; for servers of OpenAI's dialect, which read Bearer tokens, theirs."""
    key = endpoint.key or NO_KEY
    return {"api_key": key} if endpoint.dialect == "anthropic" else {"auth_token": key}

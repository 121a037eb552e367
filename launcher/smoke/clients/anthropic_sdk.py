"""The official `anthropic` client, for hosts and servers that have `/v1/messages`."""

from __future__ import annotations

import time
from collections.abc import Callable

import anthropic

from launcher.json_values import JsonObject
from launcher.smoke.answers.answer import Answer, from_chunks, from_json, with_exchange
from launcher.smoke.clients import messages_dialect
from launcher.smoke.clients.base import CheckLog, Deadline, Endpoint
from launcher.smoke.clients.sdk import IDENTITY, NO_KEY, asking, http_client, kept, refused, timed
from launcher.smoke.clients.transcript import Exchange, Transcript
from launcher.smoke.clients.wire import CONNECT_SECONDS

BEYOND = frozenset({"chat_template_kwargs"})
DROPPED = frozenset({"temperature", "top_p"})


class AnthropicClient:
    """`anthropic.Anthropic`, without its retries."""

    name = "anthropic"

    def chat(
        self, endpoint: Endpoint, body: JsonObject, deadline: Deadline, log: CheckLog
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
        api_key, token = _credential(endpoint)
        with (
            asking(anthropic.APIError, deadline, entry) as (guard, begun),
            http_client(anthropic.DefaultHttpxClient, endpoint.base_url, guard, entry) as http,
            anthropic.Anthropic(
                base_url=endpoint.root_url,
                max_retries=0,
                timeout=anthropic.Timeout(
                    deadline.read, connect=min(CONNECT_SECONDS, deadline.left)
                ),
                http_client=http,
                default_headers={**IDENTITY, **endpoint.headers},
                api_key=api_key,
                auth_token=token,
            ) as client,
        ):
            try:
                answer = self._ask(client, sent, extra, deadline, entry, begun, log.transcript)
            except anthropic.APIStatusError as error:
                answer = refused(error, log.transcript, entry, begun)
        return with_exchange(answer, entry.number)

    def _ask(
        self,
        client: anthropic.Anthropic,
        sent: JsonObject,
        extra: JsonObject,
        deadline: Deadline,
        entry: Exchange,
        begun: float,
        transcript: Transcript,
    ) -> Answer:
        # The SDK has dropped parameters that servers still take: they travel beside it.
        body = {**{k: v for k, v in sent.items() if k in DROPPED}, **extra}
        arguments = {k: v for k, v in sent.items() if k not in DROPPED}
        # Whatever JSON a check asks with: the SDK's own types would refuse what servers must.
        create: Callable[..., object] = client.messages.create
        response = create(**arguments, extra_body=body)
        entry.status = 200
        if not sent.get("stream"):
            raw = kept(response, transcript, entry, begun)
            return from_json(messages_dialect.response(raw), 200, entry.seconds or 0.0)
        events = tuple(timed(response, deadline, entry, begun))
        entry.seconds = time.monotonic() - begun
        chunks, done = messages_dialect.chunks(events)
        # The SDK swallows nothing at the end of this dialect: `message_stop` is an event.
        return from_chunks(tuple(chunks), entry.seconds, done)


def _credential(endpoint: Endpoint) -> tuple[str | None, str | None]:
    """API key and token: Anthropic's own header, or the Bearer token of OpenAI's dialect."""
    key = endpoint.key or NO_KEY
    return (key, None) if endpoint.dialect == "anthropic" else (None, key)

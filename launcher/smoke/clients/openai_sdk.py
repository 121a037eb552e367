"""The official `openai` client, as users' programs have it: what its models do not keep is lost."""

from __future__ import annotations

import time
from collections.abc import Callable

import openai

from launcher.json_values import JsonObject
from launcher.smoke.answers.answer import Answer, from_chunks, from_json, with_exchange
from launcher.smoke.clients.base import (
    CheckLog,
    Deadline,
    Endpoint,
    UnsupportedError,
)
from launcher.smoke.clients.sdk import IDENTITY, NO_KEY, asking, http_client, kept, refused, timed
from launcher.smoke.clients.transcript import Exchange, Transcript
from launcher.smoke.clients.wire import CONNECT_SECONDS

BEYOND = frozenset({"chat_template_kwargs"})
"""Parameters of our servers that the client only takes as `extra_body`."""


class OpenAIClient:
    """`openai.OpenAI`, without its retries."""

    name = "openai"

    def chat(
        self, endpoint: Endpoint, body: JsonObject, deadline: Deadline, log: CheckLog
    ) -> Answer:
        """See `Client.chat`."""
        if endpoint.dialect != "openai":
            raise UnsupportedError("the openai client does not speak this dialect")
        sent = {k: v for k, v in body.items() if k not in BEYOND}
        extra = {k: v for k, v in body.items() if k in BEYOND}
        extra.update(endpoint.addressed({}))
        entry = log.transcript.begin(
            log.check,
            self.name,
            "POST",
            endpoint.chat_url,
            endpoint.all_headers(),
            {**sent, **extra},
        )
        # A session of its own per request: a shared pool would hide what a new user meets.
        with (
            asking(openai.APIError, deadline, entry) as (guard, begun),
            http_client(openai.DefaultHttpxClient, endpoint.base_url, guard, entry) as http,
            openai.OpenAI(
                base_url=endpoint.base_url,
                api_key=endpoint.key or NO_KEY,
                max_retries=0,
                timeout=openai.Timeout(deadline.read, connect=min(CONNECT_SECONDS, deadline.left)),
                http_client=http,
                default_headers={**IDENTITY, **endpoint.headers},
            ) as client,
        ):
            try:
                answer = self._ask(client, sent, extra, deadline, entry, begun, log.transcript)
            except openai.APIStatusError as error:
                answer = refused(error, log.transcript, entry, begun)
        return with_exchange(answer, entry.number)

    def _ask(
        self,
        client: openai.OpenAI,
        sent: JsonObject,
        extra: JsonObject,
        deadline: Deadline,
        entry: Exchange,
        begun: float,
        transcript: Transcript,
    ) -> Answer:
        # Whatever JSON a check asks with: the SDK's own types would refuse what servers must.
        create: Callable[..., object] = client.chat.completions.create
        response = create(**sent, extra_body=extra or None)
        entry.status = 200
        if not sent.get("stream"):
            raw = kept(response, transcript, entry, begun)
            return from_json(raw, 200, entry.seconds or 0.0)
        chunks = tuple(timed(response, deadline, entry, begun))
        entry.seconds = time.monotonic() - begun
        return from_chunks(chunks, entry.seconds, None)

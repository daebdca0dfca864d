"""Any endpoint that speaks OpenAI's Chat Completions: what it accepts is found out once and remembered.

Retries are off in the client: there is one retry loop, in `services/annotate.py`. Foreign errors are translated in
`translate`, and nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import httpx
import httpx2
import openai

from backend.adapters.completion import read_completion
from backend.adapters.vision import colour_question, is_about_images, saw_the_colour
from backend.core.errors import (
    ContextTooLong,
    ModelBadRequest,
    ModelError,
    ModelQuotaExhausted,
    ModelRateLimited,
    ModelServerError,
    ModelTimeout,
    ModelUnauthorized,
    ModelUnknown,
    ModelUnreachable,
)
from backend.core.limits import read_limits
from backend.core.values import JSON, Message, Reply, Request, Usage
from backend.ports.model import Capabilities

_log = logging.getLogger(__name__)
OPENAI_URL = "https://api.openai.com/v1"
# Before anything was sent; the client uses httpx2, or httpx where it is given such a client.
_CONNECTING = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx.ConnectError, httpx.ConnectTimeout)
_BEST = Capabilities(structured="json_schema", logprobs=20)
_WEAKER = {"json_schema": "json_object", "json_object": "text"}
_FEWER = {20: 5, 5: 0}  # some gateways allow five alternatives
_MAX_PROBES = 8
_PROBE = Request(
    messages=(Message(role="user", content='Is the sky blue? Answer with the JSON object {"answer": "yes"} or "no".'),),
    schema={
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": ["yes", "no"]}},
        "required": ["answer"],
        "additionalProperties": False,
    },
    model="",
    temperature=0.0,
    max_tokens=32,
    seed=0,
    logprobs=True,
)


@dataclass(frozen=True, kw_only=True)
class SetBy:
    """For messages: what sets the key, the address and the model of an endpoint."""

    key: str = "OPENAI_API_KEY"
    base_url: str = "OPENAI_BASE_URL"
    model: str = "PRELABEL_MODEL"


class Memory(Protocol):
    """The part of the store that remembers endpoints."""

    def capabilities(self, endpoint: str, model: str) -> Capabilities | None: ...

    def save_capabilities(self, endpoint: str, model: str, capabilities: Capabilities) -> None: ...


class OpenAIModel:
    """`backend.ports.model.Model` over the openai client. One per event loop: it holds connections."""

    def __init__(
        self,
        *,
        base_url: str | None,
        api_key: str,
        timeout_s: float,
        memory: Memory,
        set_by: SetBy = SetBy(),
    ) -> None:
        self.timeout_s = timeout_s
        self.client = openai.AsyncOpenAI(base_url=base_url, api_key=api_key, timeout=timeout_s, max_retries=0)
        self.endpoint = endpoint_of(str(self.client.base_url))
        self._memory = memory
        self.set_by = set_by
        self._known: dict[str, Capabilities] = {}
        self._probing = asyncio.Lock()

    async def close(self) -> None:
        await self.client.close()

    async def models(self) -> list[str] | None:
        """The ids that the endpoint lists; None where it does not have that route."""
        try:
            page = await self.client.models.list()
        except openai.NotFoundError:
            return None
        except openai.OpenAIError as error:
            raise translate(error, self.endpoint, self.set_by) from error
        return [model.id for model in page.data]

    async def ask(self, request: Request) -> Reply:
        """One call. A 400 that names a feature lowers what is remembered of the endpoint and is asked again."""
        found = await self.capabilities(request.model)
        while True:
            try:
                return await self._call(request, found)
            except ModelBadRequest as error:
                weaker = lowered(found, str(error.__cause__), guess=False)
                if weaker is None:
                    raise
                found = self._remember(request.model, weaker)

    async def capabilities(self, model: str) -> Capabilities:
        async with self._probing:  # the first calls of a chunk come all at once, and one probe is enough
            known = self._known.get(model) or self._memory.capabilities(self.endpoint, model)
            if known is None:
                known, _ = await self.probe(model)
            self._known[model] = known
            return known

    async def takes_images(self, model: str) -> bool:
        found = await self.capabilities(model)
        async with self._probing:
            found = self._known.get(model, found)
            if found.images is None:
                found = self._remember(model, replace(found, images=await self._sees_images(model, found)))
        return bool(found.images)

    async def _sees_images(self, model: str, found: Capabilities) -> bool:
        try:
            reply = await self._call(colour_question(model), found)
        except ModelBadRequest:
            return False
        except ModelServerError as error:
            if is_about_images(str(error.__cause__)):  # llama.cpp without a projector answers 500
                return False
            raise
        return saw_the_colour(reply)

    async def probe(self, model: str, *, reasoning_effort: str | None = None) -> tuple[Capabilities, Usage]:
        """Ask a tiny question with everything switched on; switch off what is refused, one thing a call.

        A real call whatever is remembered, and the only thing that shows whether the key is good: some endpoints
        list their models to anybody. What is found is remembered; the usage is that of the call that was answered.
        """
        found = _BEST
        for _ in range(_MAX_PROBES):
            try:
                reply = await self._call(replace(_PROBE, model=model, reasoning_effort=reasoning_effort), found)
            except ModelBadRequest as error:
                weaker = lowered(found, str(error.__cause__), guess=True)
                if weaker is None:
                    raise
                found = weaker
                continue
            if found.logprobs and not gives_alternatives(reply):
                found = replace(found, logprobs=0)  # accepted and ignored: null, or one constant
            return self._remember(model, found), reply.usage
        raise ModelBadRequest(
            f"The model endpoint {self.endpoint} refuses a plain question in every form: check {self.set_by.model}."
        )

    async def answers(self, model: str) -> None:
        """One tiny call, in the form that the endpoint is known to take. Raises a `ModelError`."""
        known = self._memory.capabilities(self.endpoint, model)
        if known is None:
            await self.probe(model)
        else:
            await self._call(replace(_PROBE, model=model), known)

    def _remember(self, model: str, found: Capabilities) -> Capabilities:
        self._known[model] = found
        self._memory.save_capabilities(self.endpoint, model, found)
        _log.info("model endpoint probed", extra={"model": model, "structured": found.structured})
        return found

    async def _call(self, request: Request, found: Capabilities) -> Reply:
        started = time.monotonic()
        try:
            async with asyncio.timeout(self.timeout_s):  # the client's own is for each piece of an answer
                # Not `chat.completions.create`: half of its time goes into checking the types of what is sent and got.
                body = parameters(request, found)
                raw = await self.client.post("/chat/completions", cast_to=httpx.Response, body=body)
        except TimeoutError as error:
            raise timed_out(self.endpoint) from error
        except openai.OpenAIError as error:
            raise translate(error, self.endpoint, self.set_by) from error
        reply = read_completion(raw.content, endpoint=self.endpoint, latency_s=time.monotonic() - started)
        return replace(reply, limits=read_limits(raw.headers))


def endpoint_of(base_url: str | None) -> str:
    """An endpoint as accounts, caches and messages name it: without user and password. None: OpenAI's own."""
    return str(httpx.URL(base_url or OPENAI_URL).copy_with(userinfo=b"")).rstrip("/")


def parameters(request: Request, found: Capabilities) -> dict[str, Any]:
    """The keyword arguments of `chat.completions.create` for what the endpoint accepts."""
    call: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": m.role, "content": content(m)} for m in request.messages],
        found.max_tokens_name: request.max_tokens,
    }
    if found.sampling:
        call["temperature"] = request.temperature
        if request.seed is not None:
            call["seed"] = request.seed
    if request.reasoning_effort is not None and found.reasoning:
        call["reasoning_effort"] = request.reasoning_effort
    if request.logprobs and found.logprobs:
        call |= {"logprobs": True, "top_logprobs": found.logprobs}
    if found.structured == "json_schema":
        schema = {"name": "annotation", "strict": True, "schema": dict(request.schema)}
        call["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif found.structured == "json_object":
        call["response_format"] = {"type": "json_object"}
    return call


def content(message: Message) -> str | list[dict[str, Any]]:
    """A message's text, after its images where it has some, each with the number that the text calls it by."""
    if not message.images:
        return message.content
    parts: list[dict[str, Any]] = []
    for number, data_uri in enumerate(message.images, start=1):
        parts.append({"type": "text", "text": f"Image {number}:"})
        parts.append({"type": "image_url", "image_url": {"url": data_uri}})
    return [*parts, {"type": "text", "text": message.content}]


def lowered(found: Capabilities, message: str, *, guess: bool) -> Capabilities | None:
    """The next weaker form after a 400 with this message; None when nothing is left or the message names nothing.

    `guess` switches off the next feature in order even if the message does not say which one it was.
    """
    text = message.lower()
    if ("max_completion_tokens" in text or "max_tokens" in text) and found.max_tokens_name == "max_tokens":
        return replace(found, max_tokens_name="max_completion_tokens")
    if found.reasoning and ("reasoning_effort" in text or "reasoning.effort" in text):
        return replace(found, reasoning=False)
    if found.sampling and ("temperature" in text or "seed" in text):
        return replace(found, sampling=False)
    if found.logprobs and "logprob" in text:
        return replace(found, logprobs=_FEWER[found.logprobs])
    if found.structured in _WEAKER and any(word in text for word in ("response_format", "schema", "grammar")):
        return replace(found, structured=_WEAKER[found.structured])
    if not guess:
        return None
    if found.logprobs:
        return replace(found, logprobs=0)
    if found.structured in _WEAKER:
        return replace(found, structured=_WEAKER[found.structured])
    return None


def gives_alternatives(reply: Reply) -> bool:
    """Whether the token log-probabilities say anything: there are some, with alternatives, and not all alike."""
    if not reply.tokens or not any(len(t.top) > 1 for t in reply.tokens):
        return False
    return len({round(lp, 6) for t in reply.tokens for _, lp in t.top}) > 1


def translate(error: openai.OpenAIError, endpoint: str, set_by: SetBy) -> ModelError:
    """One error of the openai client as one of ours."""
    if isinstance(error, openai.APITimeoutError) and not isinstance(error.__cause__, _CONNECTING):
        return timed_out(endpoint)
    if isinstance(error, openai.APIConnectionError):
        unsent = isinstance(error.__cause__, _CONNECTING)
        what = "cannot be reached" if unsent else "cuts the connection"
        unreachable = ModelUnreachable(
            f"The model endpoint {endpoint} {what}: check {set_by.base_url} and that it is running."
        )
        unreachable.lost = not unsent
        return unreachable
    if isinstance(error, openai.APIStatusError):
        translated = _translate_status(error, endpoint, set_by)
        headers = error.response.headers
        translated.limits, translated.retry_after_s = read_limits(headers), _retry_after(headers)
        translated.limited = translated.limited or error.status_code in (503, 529)  # too much load; 529: Anthropic's
        return translated
    return ModelServerError(f"The model endpoint {endpoint} gave an answer that cannot be used.")


def timed_out(endpoint: str) -> ModelTimeout:
    return ModelTimeout(f"The model endpoint {endpoint} did not answer in time: raise PRELABEL_REQUEST_TIMEOUT_S.")


def _translate_status(error: openai.APIStatusError, endpoint: str, set_by: SetBy) -> ModelError:
    status, text = error.status_code, str(error).lower()
    if status in (401, 403):
        return ModelUnauthorized(
            f"The model endpoint {endpoint} does not accept {set_by.key} (HTTP {status}): set {set_by.key} to a "
            "key of that endpoint."
        )
    if status == 402 or (status == 429 and ("insufficient_quota" in text or "exceeded your current quota" in text)):
        return ModelQuotaExhausted(f"The account at {endpoint} has no quota left: top it up, then run again.")
    if status == 429:
        return ModelRateLimited(f"The model endpoint {endpoint} limits the rate (HTTP 429).")
    if status in (408, 504):
        return ModelTimeout(f"The model endpoint {endpoint} timed out (HTTP {status}).")
    if status >= 500:
        return ModelServerError(f"The model endpoint {endpoint} failed with HTTP {status}.")
    if status in (400, 413, 422) and any(
        words in text for words in ("context length", "context_length", "context size", "context window", "too long")
    ):
        return ContextTooLong("The prompt does not fit the model's window: use a model with a longer one.")
    if status == 404:
        return ModelUnknown(f"The model endpoint {endpoint} has no such model or route: check {set_by.model}.")
    return ModelBadRequest(f"The model endpoint {endpoint} refused the request with HTTP {status}.")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from `retry-after-ms` or `retry-after` in its number form."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if 0 <= seconds < 86_400:
            return seconds
    return None


def describe(found: Capabilities) -> Mapping[str, JSON]:
    """For `doctor`: what the endpoint supports, in words."""
    words = {"json_schema": "strict JSON schema", "json_object": "JSON mode", "text": "plain text only"}
    return {
        "answers": words[found.structured],
        "label probabilities": f"yes, {found.logprobs} alternatives"
        if found.logprobs
        else "no: a score takes several answers to a task",
        "sampling parameters": "yes" if found.sampling else "no",
        "images": {True: "yes", False: "no", None: "not known"}[found.images],
    }

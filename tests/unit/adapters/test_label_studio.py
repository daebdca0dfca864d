"""Foreign answers, translated: keys of both kinds, and whatever else may come back. No socket: a MockTransport."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from backend.adapters.label_studio import LabelStudioApi
from backend.core.errors import (
    LabelStudioError,
    LabelStudioNotFound,
    LabelStudioUnauthorized,
    LabelStudioUnreachable,
)
from backend.ports.labels import NewTask

LEGACY = "1234567890123456789012345678901234567890"
PERSONAL = ".".join(
    base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
    for part in ({"alg": "HS256", "typ": "JWT"}, {"token_type": "refresh"}, {"signature": 1})
)
Handler = Callable[[httpx.Request], httpx.Response]


def api(handler: Handler, key: str = LEGACY) -> LabelStudioApi:
    return LabelStudioApi("http://labels:8080", key, transport=httpx.MockTransport(handler))


def answering(status: int, **content: object) -> Handler:
    return lambda request: httpx.Response(status, **content)  # type: ignore[arg-type]


def raising(error: Exception) -> Handler:
    def handler(request: httpx.Request) -> httpx.Response:
        raise error

    return handler


class TestErrors:
    @pytest.mark.parametrize(
        ("handler", "error", "words"),
        [
            (answering(401, json={"detail": "Invalid token."}), LabelStudioUnauthorized, "LABEL_STUDIO_API_KEY"),
            (
                answering(404, json={"status_code": 404, "detail": "No Project matches."}),
                LabelStudioNotFound,
                "no project 5 (or the key may not see it): check --project.",
            ),
            (answering(404, text="<html>not found</html>"), LabelStudioError, "LABEL_STUDIO_URL"),
            (answering(404, json={"detail": "Not Found"}), LabelStudioError, "LABEL_STUDIO_URL"),
            (answering(500, json={"detail": "boom"}), LabelStudioUnreachable, "HTTP 500"),
            (answering(502, text="<html>Bad gateway</html>"), LabelStudioUnreachable, "HTTP 502"),
            (answering(503), LabelStudioUnreachable, "HTTP 503"),
            (answering(400, json={"validation_errors": {"x": ["is bad"]}}), LabelStudioError, "is bad"),
            (answering(403, json={"detail": "URL resolves to a reserved network"}), LabelStudioError, "reserved"),
            (answering(403, json={"detail": "You do not have permission"}), LabelStudioError, "permission"),
            (answering(400, text="<html>"), LabelStudioError, "no reason given"),
            (answering(400, json=[1]), LabelStudioError, "no reason given"),
            (answering(429, json={"detail": "slow down"}), LabelStudioError, "HTTP 429"),
            (answering(200, text="<html>Some other server</html>"), LabelStudioError, "LABEL_STUDIO_URL"),
            (answering(200, text=""), LabelStudioError, "LABEL_STUDIO_URL"),
            (answering(200, json=[1, 2]), LabelStudioError, "LABEL_STUDIO_URL"),
            (answering(200, content=b"\xff\xfe{"), LabelStudioError, "LABEL_STUDIO_URL"),
            (answering(302, headers={"Location": "/user/login"}), LabelStudioError, "LABEL_STUDIO_URL"),
            (raising(httpx.ConnectError("refused")), LabelStudioUnreachable, "LABEL_STUDIO_URL"),
            (raising(httpx.ReadTimeout("slow")), LabelStudioUnreachable, "in time"),
            (raising(httpx.ConnectTimeout("slow")), LabelStudioUnreachable, "in time"),
            (raising(httpx.RemoteProtocolError("hung up")), LabelStudioUnreachable, "LABEL_STUDIO_URL"),
            (raising(httpx.ReadError("reset")), LabelStudioUnreachable, "LABEL_STUDIO_URL"),
        ],
    )
    def test_one_sentence_of_the_right_class(self, handler: Handler, error: type[LabelStudioError], words: str) -> None:
        with pytest.raises(LabelStudioError) as raised:
            api(handler).project(5)
        assert type(raised.value) is error
        assert words in str(raised.value)
        assert "\n" not in str(raised.value)
        assert LEGACY not in str(raised.value)

    @pytest.mark.parametrize(
        ("handler", "may_be_done"),
        [
            (raising(httpx.ConnectError("refused")), False),
            (raising(httpx.ConnectTimeout("slow")), False),
            (raising(httpx.ReadTimeout("slow")), True),
            (raising(httpx.ReadError("reset")), True),
            (raising(httpx.RemoteProtocolError("hung up")), True),
            (answering(502, text="<html>Bad gateway</html>"), True),
            (answering(400, json={"detail": "no"}), False),
            (answering(403, json={"detail": "no"}), False),
            (answering(302, headers={"Location": "/user/login"}), False),
            (answering(201, json={"task_count": 1}), True),
            (answering(201, json={"task_ids": [1, 2]}), True),
            (answering(201, json={"task_ids": ["1"]}), True),
            (answering(201, text="<html>"), True),
        ],
    )
    def test_whether_an_import_may_be_done_all_the_same(self, handler: Handler, may_be_done: bool) -> None:
        with pytest.raises(LabelStudioError) as raised:
            api(handler).import_tasks(5, [NewTask(data={"text": "a"}, model_version="v", result=(), score=None)])
        assert raised.value.may_be_done is may_be_done

    def test_a_project_that_is_not_there_is_told_alike_whatever_is_asked(self) -> None:
        gone = api(answering(404, json={"status_code": 404}))
        for ask in (
            lambda: gone.project(5),
            lambda: gone.untouched(5),
            lambda: list(gone.task_ids(5)),
            lambda: gone.backends(5),
            lambda: gone.tabs(5),
            lambda: gone.version_counts(5),
            lambda: gone.accept_predictions(5, "v", [1]),
        ):
            with pytest.raises(
                LabelStudioNotFound, match=r"^Label Studio has no project 5 \(or the key may not see it"
            ):
                ask()
        with pytest.raises(LabelStudioNotFound, match="/api/annotations/7"):
            gone.delete_annotation(7)

    @pytest.mark.parametrize("body", [{"a": 1}, "text", None])
    def test_a_list_is_wanted_and_something_else_came(self, body: object) -> None:
        with pytest.raises(LabelStudioError, match="LABEL_STUDIO_URL"):
            api(answering(200, json=body)).backends(5)

    def test_a_long_reason_is_cut(self) -> None:
        with pytest.raises(LabelStudioError) as raised:
            api(answering(400, json={"detail": "x" * 100_000})).project(5)
        assert len(str(raised.value)) < 400
        assert len(raised.value.detail) <= 4000

    @pytest.mark.parametrize("url", ["", "labels:8080", "http://[::1", "http://labels:port", "nonsense"])
    def test_a_url_that_is_none(self, url: str) -> None:
        with pytest.raises(LabelStudioError, match=r"LABEL_STUDIO_URL=.* is no URL: write http://HOST:PORT"):
            LabelStudioApi(url, LEGACY).version()

    def test_another_server_has_no_label_studio_version(self) -> None:
        with pytest.raises(LabelStudioError, match="check that LABEL_STUDIO_URL is its address"):
            api(answering(404, json={"status_code": 404})).version()


class TestPeople:
    def test_a_name_else_the_e_mail_in_one_line(self) -> None:
        users = [
            {"id": 1, "first_name": "Ann", "last_name": "Lee\n", "email": "ann@x"},
            {"id": 2, "first_name": "", "last_name": None, "email": "bob@x"},
            {"id": 3, "first_name": "x" * 500, "last_name": ""},
            {"id": 4, "username": "d\x1b[31m"},
            {"id": 5},
            {"id": "6", "email": "e"},
            "none",
        ]
        found = api(answering(200, json=users)).people()
        assert found == {1: "Ann Lee", 2: "bob@x", 3: "x" * 80, 4: "d[31m"}

    @pytest.mark.parametrize("status", [403, 404])
    def test_whoever_may_not_see_them_has_none(self, status: int) -> None:
        assert api(answering(status, json={"status_code": status})).people() == {}
        assert api(answering(200, json={"results": []})).people() == {}


class TestLegacyToken:
    def test_is_sent_as_it_is(self) -> None:
        seen: list[str] = []

        def handler(request: httpx.Request) -> httpx.Response:
            seen.append(request.headers["Authorization"])
            return httpx.Response(200, json={"release": "1.23.2"})

        labels = api(handler)
        assert (labels.version(), labels.key_kind()) == ("1.23.2", "legacy token")
        assert seen == [f"Token {LEGACY}"]

    def test_a_line_end_that_was_pasted_along_is_not_sent(self) -> None:
        seen: list[str] = []

        def handler(request: httpx.Request) -> httpx.Response:
            seen.append(request.headers["Authorization"])
            return httpx.Response(200, json={})

        api(handler, f" {LEGACY}\r\n").version()
        assert seen == [f"Token {LEGACY}"]

    def test_refused_hints_at_the_other_kind(self) -> None:
        with pytest.raises(LabelStudioUnauthorized, match="personal access token"):
            api(answering(401)).version()


class Tokens:
    """Label Studio's exchange of a personal access token for one that ends after `uses` calls."""

    def __init__(self, uses: int = 99, refresh_status: int = 200) -> None:
        self.uses, self.left, self.number, self.refresh_status = uses, 0, 0, refresh_status
        self.refreshed: list[object] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/token/refresh":
            self.refreshed.append(json.loads(request.content))
            if self.refresh_status != 200:
                return httpx.Response(self.refresh_status, json={"detail": "Token is blacklisted"})
            self.number, self.left = self.number + 1, self.uses
            return httpx.Response(200, json={"access": f"access-{self.number}"})
        if request.headers.get("Authorization") != f"Bearer access-{self.number}" or self.left == 0:
            return httpx.Response(401, json={"detail": "expired"})
        self.left -= 1
        return httpx.Response(200, json={"release": "1.23.2"})


class TestPersonalAccessToken:
    def test_is_exchanged_once_and_used_again(self) -> None:
        tokens = Tokens()
        labels = api(tokens, PERSONAL)
        for _ in range(3):
            assert labels.version() == "1.23.2"
        assert tokens.refreshed == [{"refresh": PERSONAL}]
        assert labels.key_kind() == "personal access token"

    def test_is_exchanged_again_when_the_access_ends(self) -> None:
        tokens = Tokens(uses=2)
        labels = api(tokens, PERSONAL)
        for _ in range(5):
            assert labels.version() == "1.23.2"
        assert len(tokens.refreshed) == 3

    def test_the_header_of_now_for_other_clients(self) -> None:
        labels = api(Tokens(uses=1), PERSONAL)
        assert [labels.authorization() for _ in range(2)] == ["Bearer access-1", "Bearer access-2"]
        assert api(answering(200), LEGACY).authorization() == f"Token {LEGACY}"

    @pytest.mark.parametrize("status", [401, 403, 404, 500])
    def test_revoked(self, status: int) -> None:
        labels = api(Tokens(refresh_status=status), PERSONAL)
        with pytest.raises(LabelStudioUnauthorized, match="revoked or expired") as raised:
            labels.version()
        assert PERSONAL not in str(raised.value)

    def test_an_exchange_that_answers_nonsense(self) -> None:
        def handler(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/api/token/refresh":
                return httpx.Response(200, text="<html>login</html>")
            return httpx.Response(401)

        with pytest.raises(LabelStudioError):
            api(handler, PERSONAL).version()

    def test_the_exchange_is_away(self) -> None:
        with pytest.raises(LabelStudioUnreachable):
            api(raising(httpx.ConnectError("refused")), PERSONAL).version()

    @pytest.mark.parametrize("key", [LEGACY, "a.b.c", "", "a.b", "eyJ.x.y.z", "....", "bm8=.a.b"])
    def test_what_is_none_is_taken_for_a_legacy_token(self, key: str) -> None:
        assert api(answering(200), key).key_kind() == "legacy token"


class TestAddressRefusals:
    @pytest.mark.parametrize(
        ("statuses", "refused"),
        [
            ((400, 400), set()),
            ((403, 403), {"backend", "webhook"}),
            ((400, 403), {"webhook"}),
            ((403, 400), {"backend"}),
        ],
    )
    def test_which_rule_refuses(self, statuses: tuple[int, int], refused: set[str]) -> None:
        def handler(request: httpx.Request) -> httpx.Response:
            status = statuses[0] if request.url.path == "/api/ml" else statuses[1]
            reason = "URL resolves to a reserved network address (block: 127.0.0.0/8)"
            known = {"validation_errors": {"project": ['Invalid pk "2000000000" - object does not exist.']}}
            return httpx.Response(status, json={"detail": reason} if status == 403 else known)

        found = api(handler).address_refusals("http://127.0.0.1:9090/")
        assert set(found) == refused
        assert all("reserved" in words for words in found.values())

    def test_away(self) -> None:
        with pytest.raises(LabelStudioUnreachable):
            api(raising(httpx.ConnectError("refused"))).address_refusals("http://here")


class TestFastImport:
    @pytest.mark.parametrize(
        ("detail", "fast"),
        [
            ('contains invalid "task" field: task ID -1 not found in project x', True),
            ('contains invalid "task" field: corresponding task ID couldn\'t be retrieved from project', False),
            ("Prediction 0: Invalid task ID -1 - task not found in project", False),
            ("something new", None),
        ],
    )
    def test_is_told_from_the_words(self, detail: str, fast: bool | None) -> None:
        assert api(answering(400, json={"validation_errors": [detail]})).fast_import(5) is fast

    def test_of_an_unknown_project(self) -> None:
        with pytest.raises(LabelStudioNotFound):
            api(answering(404, json={"status_code": 404})).fast_import(5)


def test_unknown_scores_are_left_out_of_an_import_and_null_in_a_change() -> None:
    from backend.core.values import Prediction

    bodies: list[object] = []

    def handler(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(201, json={"created": 1, "id": 1})

    prediction = Prediction(task_id=1, model_version="v", result=(), score=None)
    labels = api(handler)
    labels.import_predictions(5, [prediction])
    labels.update_prediction(1, prediction)
    assert bodies == [[{"task": 1, "model_version": "v", "result": []}], {"result": [], "score": None}]


@pytest.mark.parametrize("extra_params", [{"agent": "careful"}, '{"agent": "careful"}', None])
def test_a_change_of_a_backend_carries_its_extra_params(monkeypatch: pytest.MonkeyPatch, extra_params: Any) -> None:
    """Label Studio calls `/setup` with what stands in the change: without them the chosen agent would be lost."""
    api = LabelStudioApi("http://labels", "key")
    known = {"url": "http://here", "project": 1, "auth_method": "NONE", "extra_params": extra_params}
    monkeypatch.setattr(api, "_get", lambda _: known)
    assert api._address(1).get("extra_params") == extra_params

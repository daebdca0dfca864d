"""Every setting, and the only reader of the environment. The README's table lists them; a test compares."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from backend.core.audit import AuditRule
from backend.core.errors import SettingsError
from backend.core.values import Agent, canonical_hash

_ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Read from environment variables; the alias is the variable's name."""

    model_config = SettingsConfigDict(env_file=None, extra="ignore", populate_by_name=True)

    label_studio_url: str = Field(
        "http://localhost:8080", alias="LABEL_STUDIO_URL", description="Where Label Studio is."
    )
    label_studio_api_key: SecretStr = Field(
        SecretStr(""), alias="LABEL_STUDIO_API_KEY", description="A personal access token or a legacy token."
    )
    openai_base_url: str | None = Field(
        None,
        alias="OPENAI_BASE_URL",
        description="The model endpoint, with its `/v1`; unset: OpenAI's own. Ollama, vLLM and gateways work.",
    )
    openai_api_key: SecretStr = Field(
        SecretStr(""), alias="OPENAI_API_KEY", description="The endpoint's key; may be unset for local endpoints."
    )
    redis_url: str = Field("redis://localhost:6379/0", alias="REDIS_URL", description="Queue and locks.")
    database_url: str = Field(
        "sqlite:///prelabel.sqlite3",
        alias="DATABASE_URL",
        description="Records and jobs; the default is a file in the current folder; "
        "`postgresql://...` where workers run on several machines.",
    )
    model: str = Field("gpt-4o-mini", alias="PRELABEL_MODEL", description="The model's name at the endpoint.")
    agent: str = Field(
        "default",
        alias="PRELABEL_AGENT",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$",
        description="First part of the version string that annotators see.",
    )
    template: str = Field(
        "default.v1",
        alias="PRELABEL_TEMPLATE",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$",
        description="Prompt template: a file of `prompts/` without `.jinja`.",
    )
    prompts_dir: Path = Field(
        _ROOT / "prompts", alias="PRELABEL_PROMPTS_DIR", description="Where the prompt templates are."
    )
    temperature: float = Field(0.0, ge=0, le=2, alias="PRELABEL_TEMPERATURE", description="Sampling temperature.")
    confidence: Literal["auto", "logprob", "agreement", "prompt_variants", "self_reported"] = Field(
        "auto",
        alias="PRELABEL_CONFIDENCE",
        description="Where a score comes from: `auto`, `logprob`, `agreement`, `prompt_variants` or `self_reported` "
        "(docs/scores.md).",
    )
    samples: int = Field(
        5, ge=2, le=20, alias="PRELABEL_SAMPLES", description="Answers to a task where the score is their agreement."
    )
    sample_temperature: float = Field(
        0.7, gt=0, le=2, alias="PRELABEL_SAMPLE_TEMPERATURE", description="Temperature of all these but the first."
    )
    max_tokens: int = Field(
        512,
        ge=1,
        alias="PRELABEL_MAX_TOKENS",
        description="Longest answer, in tokens. A Ranker whose ids surely do not fit in it is not asked.",
    )
    context_tokens: int = Field(
        128_000,
        ge=256,
        alias="PRELABEL_CONTEXT_TOKENS",
        description="The model's window: long option lists are shortened to fit it; "
        "tasks that surely exceed it are skipped without a call.",
    )
    max_options: int = Field(
        200,
        ge=8,
        le=10_000,
        alias="PRELABEL_MAX_OPTIONS",
        description="Options of one control that a prompt lists; of longer lists the most similar to the text.",
    )
    reasks: int = Field(
        1, ge=0, le=5, alias="PRELABEL_REASKS", description="How often an unreadable reply is asked again."
    )
    relations: bool = Field(
        True,
        alias="PRELABEL_RELATIONS",
        description="Ask a second question about how regions are related, where the labeling config has `Relations`.",
    )
    request_timeout_s: float = Field(
        120.0,
        gt=0,
        le=3600,
        alias="PRELABEL_REQUEST_TIMEOUT_S",
        description="Longest wait for one model call, in seconds, up to an hour.",
    )
    cache_days: int = Field(
        30,
        ge=0,
        le=3650,
        alias="PRELABEL_CACHE_DAYS",
        description="How long a model's reply that nobody uses is kept, so that the same request is not paid twice; "
        "0: no reply is reused (docs/cache.md).",
    )
    concurrency: int = Field(
        8, ge=1, le=1024, alias="PRELABEL_CONCURRENCY", description="Model calls in flight in one worker."
    )
    requests_per_minute: int | None = Field(
        None,
        ge=1,
        alias="PRELABEL_REQUESTS_PER_MINUTE",
        description="Most model calls a minute of all workers together; unset: learnt from the endpoint's answers.",
    )
    tokens_per_minute: int | None = Field(
        None,
        ge=1,
        alias="PRELABEL_TOKENS_PER_MINUTE",
        description="Most tokens a minute of all workers together, prompts and answers; unset: learnt likewise.",
    )
    usd_per_million_input: float | None = Field(
        None,
        ge=0,
        alias="PRELABEL_USD_PER_MILLION_INPUT",
        description="Price of a million tokens of prompts in US dollars, with the next one; unset: as known of the "
        "endpoint, by a table of public prices (docs/jobs.md).",
    )
    usd_per_million_output: float | None = Field(
        None,
        ge=0,
        alias="PRELABEL_USD_PER_MILLION_OUTPUT",
        description="Price of a million tokens of answers in US dollars.",
    )
    chunk_size: int = Field(500, ge=1, le=5000, alias="PRELABEL_CHUNK_SIZE", description="Tasks in one queue message.")
    batch_rounds: int = Field(
        3,
        ge=1,
        le=20,
        alias="PRELABEL_BATCH_ROUNDS",
        description="With `--lane batch`: how often what is missing goes into another batch before it is asked live.",
    )
    batch_poll_s: float = Field(
        30.0,
        ge=1,
        le=3600,
        alias="PRELABEL_BATCH_POLL_S",
        description="With `--lane batch`: how often a batch at the endpoint is looked at, in seconds.",
    )
    predict_deadline_s: float = Field(
        4.0,
        ge=0,
        le=30,
        alias="PRELABEL_PREDICT_DEADLINE_S",
        description="How long `/predict` waits for the one or two tasks that somebody has opened, in seconds.",
    )
    audit: bool = Field(
        True,
        alias="PRELABEL_AUDIT",
        description="Draw a random slice of each larger project, of which nobody sees a prediction before it is "
        "annotated: what labels are worth is told from it (docs/verification.md).",
    )
    audit_first: int = Field(
        50,
        ge=1,
        le=100_000,
        alias="PRELABEL_AUDIT_FIRST",
        description="About so many tasks of a project's first batch, at least; one of fewer than five times as many "
        "begins no audit by itself.",
    )
    audit_share: float = Field(
        0.05, ge=0, le=1, alias="PRELABEL_AUDIT_SHARE", description="The least share of the first batch."
    )
    audit_later: float = Field(
        0.10, ge=0, le=1, alias="PRELABEL_AUDIT_LATER", description="The share of what is imported later."
    )
    media_root: Path | None = Field(
        None, alias="PRELABEL_MEDIA_ROOT", description="Folder below which `file:` and relative paths are read."
    )
    media_max_bytes: int = Field(
        20_000_000, ge=1_000, alias="PRELABEL_MEDIA_MAX_BYTES", description="Largest image or PDF file that is read."
    )
    media_max_pixels: int = Field(
        50_000_000,
        ge=1_000,
        le=89_000_000,
        alias="PRELABEL_MEDIA_MAX_PIXELS",
        description="Largest image that is decoded, in pixels.",
    )
    media_max_side: int = Field(
        1_568,
        ge=64,
        le=8_192,
        alias="PRELABEL_MEDIA_MAX_SIDE",
        description="Longer images are scaled down to this side, in pixels, before they are sent.",
    )
    media_max_pages: int = Field(
        20, ge=1, le=200, alias="PRELABEL_MEDIA_MAX_PAGES", description="Of a longer PDF the first pages are shown."
    )
    media_timeout_s: float = Field(
        30.0, gt=0, alias="PRELABEL_MEDIA_TIMEOUT_S", description="Longest wait for one image or PDF, in seconds."
    )
    basic_auth_user: str = Field(
        "", alias="PRELABEL_BASIC_AUTH_USER", description="With the password: Basic auth on every route."
    )
    basic_auth_password: SecretStr = Field(
        SecretStr(""), alias="PRELABEL_BASIC_AUTH_PASSWORD", description="See above."
    )
    webhook_secret: SecretStr = Field(
        SecretStr(""),
        alias="PRELABEL_WEBHOOK_SECRET",
        description="Secret header of `/webhook`; unset with Basic auth on: derived from its password.",
    )
    slice_columns: str = Field(
        "language,lang",
        alias="PRELABEL_SLICE_COLUMNS",
        description="Columns of the tasks' data by which verifications are told apart, with commas between them; "
        "values of at most 80 characters are kept (docs/verification.md).",
    )
    host: str = Field("0.0.0.0", alias="PRELABEL_HOST", description="Address that `serve` listens on.")  # noqa: S104
    port: int = Field(9090, ge=0, le=65535, alias="PRELABEL_PORT", description="Port that `serve` listens on.")
    web_threads: int = Field(
        16, ge=4, le=256, alias="PRELABEL_WEB_THREADS", description="Threads of `serve`; half may wait in `/predict`."
    )
    log_level: str = Field(
        "INFO",
        alias="PRELABEL_LOG_LEVEL",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="DEBUG, INFO, WARNING or ERROR.",
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", alias="PRELABEL_LOG_FORMAT", description="`json`, `text`, or `auto`: text on a terminal, else JSON."
    )
    log_content: bool = Field(
        False,
        alias="PRELABEL_LOG_CONTENT",
        description="Prompts and replies go to the log too, at DEBUG: for a search on test data only.",
    )

    @property
    def slices(self) -> tuple[str, ...]:
        """The columns of `slice_columns`, each once."""
        return tuple(dict.fromkeys(name.strip() for name in self.slice_columns.split(",") if name.strip()))

    @property
    def basic_auth(self) -> tuple[str, str] | None:
        """User and password, when both are set."""
        password = self.basic_auth_password.get_secret_value()
        return (self.basic_auth_user, password) if self.basic_auth_user and password else None

    @property
    def effective_webhook_secret(self) -> str | None:
        """The secret that `/webhook` wants in its header; None: it wants none."""
        given = self.webhook_secret.get_secret_value()
        if given:
            return given
        auth = self.basic_auth
        return canonical_hash(["webhook", *auth])[:40] if auth else None

    def endpoint_key(self, variable: str | None = None) -> str:
        """The key of a model endpoint: of OPENAI_API_KEY, empty where that is unset, or of the named variable.

        Raises `SettingsError` where that one is not set.
        """
        if variable is None:
            return self.openai_api_key.get_secret_value()
        key = os.environ.get(variable, "")
        if not key:
            raise SettingsError(
                f"The agent takes its key from {variable}, which is not set: set it for `prelabel worker` too."
            )
        return key

    def to_audit_rule(self) -> AuditRule:
        return AuditRule(
            on=self.audit,
            first=self.audit_first,
            first_share=self.audit_share,
            later_share=self.audit_later,
            fewest_tasks=5 * self.audit_first,
        )

    def to_agent(self) -> Agent:
        return Agent(
            name=self.agent,
            model=self.model,
            template=self.template,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            reasks=self.reasks,
            confidence=self.confidence,
            samples=self.samples,
            sample_temperature=self.sample_temperature,
            context_tokens=self.context_tokens,
            max_options=self.max_options,
            image_side=self.media_max_side,
            document_pages=self.media_max_pages,
            relations=self.relations,
        )


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """The settings of this process. Raises `SettingsError` naming every variable that is wrong at once."""
    try:
        settings = Settings()
    except ValidationError as error:
        faults = "; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors(include_input=False, include_url=False))
        raise SettingsError(f"Settings are wrong: {faults}.") from None
    if bool(settings.basic_auth_user) != bool(settings.basic_auth_password.get_secret_value()):
        raise SettingsError(
            "Basic auth needs both PRELABEL_BASIC_AUTH_USER and PRELABEL_BASIC_AUTH_PASSWORD: set or unset both."
        )
    return settings

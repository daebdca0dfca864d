"""The tree of errors. A message is one sentence: what is wrong, what to do next; no key, no task text.

PrelabelError
|- SettingsError             a setting is missing or wrong
|- ConfigError               a labeling config cannot be used
|- TemplateError             a prompt template is missing or does not render
|- AgentUnknown              no agent is registered under that name
|- InputError                a file that a command was given cannot be read or used
|- StoreError                the database cannot be reached or used
|- QueueError                Redis cannot be reached: nothing is queued, nothing is spent
|- LabelStudioError          Label Studio refused a call
|  |- LabelStudioUnreachable   no answer at all, or a 5xx
|  |- LabelStudioUnauthorized  401 or 403 because of the key
|  `- LabelStudioNotFound      the project or task does not exist
|- MediaUnreachable          an image or document could not be had this time: another run may
|- ProjectUnknown            nothing is stored of this project
|- BudgetReached             the job may spend no more: it pauses
|- LimitFarOff               the model's limit leaves no room for a while: the tasks are given back until then
`- ModelError                a model call failed
   |- ModelUnreachable         no connection, or a cut one: the job pauses until the endpoint answers again
   |- ModelUnauthorized        the key is refused: the job pauses likewise
   |- ModelQuotaExhausted      the account cannot pay: the job pauses likewise
   |- ModelRateLimited         429; `retry_after_s` where the endpoint says it
   |- ModelTimeout             no answer in time
   |- ModelServerError         5xx
   |- RefusedAlone             this one request is refused or cut off, while others are answered
   |- ContextTooLong           the prompt does not fit the model's window
   |- BatchNotOffered          the endpoint has no batch API: nothing is submitted
   |- ModelTakesNoImages       all that is asked is about images and the model sees none: the job stops
   `- ModelBadRequest          any other 4xx: asking again would not help
      `- ModelUnknown            the endpoint has no such model or route: the job pauses likewise
"""

from __future__ import annotations

from backend.core.limits import RateLimits


class PrelabelError(Exception):
    """Root of the errors that are told to a user as one sentence."""

    @property
    def for_log(self) -> str:
        """The sentence without the words of others, which may quote a task."""
        return str(self)


class SettingsError(PrelabelError):
    """A setting is missing or wrong."""


class ConfigError(PrelabelError):
    """A labeling config cannot be used."""


class TemplateError(PrelabelError):
    """A prompt template is missing or does not render."""


class AgentUnknown(PrelabelError):
    """No agent is registered under that name."""


class InputError(PrelabelError):
    """A file that a command was given, or a line of it, cannot be read or used."""


class StoreError(PrelabelError):
    """The database cannot be reached or used."""


class QueueError(PrelabelError):
    """Redis cannot be reached."""


class LabelStudioError(PrelabelError):
    """Label Studio refused a call; `status` is its HTTP status where it gave one, `quoted` its reason in its words."""

    may_be_done = False  # whether Label Studio may have done what was asked all the same, or may be at it

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        detail: str = "",
        quoted: str = "",
        may_be_done: bool | None = None,
    ) -> None:
        super().__init__(f"{message}: {quoted}" if quoted else message)
        if may_be_done is not None:
            self.may_be_done = may_be_done
        self._without_quoted = message
        self.status = status
        self.detail = detail  # Label Studio's own words, for code that recognises a case

    @property
    def for_log(self) -> str:
        return self._without_quoted


class LabelStudioUnreachable(LabelStudioError):
    """No answer, or a 5xx: worth trying again."""

    may_be_done = True


class LabelStudioUnauthorized(LabelStudioError):
    """The key is missing, wrong, expired or of a kind that is switched off."""


class LabelStudioNotFound(LabelStudioError):
    """The project or task does not exist, or the key cannot see it."""


class MediaUnreachable(PrelabelError):
    """An image or document could not be had for now: no answer, a 5xx, or a key that Label Studio does not accept."""


class ProjectUnknown(PrelabelError):
    """Nothing is stored of this project."""


def not_connected(project_id: int) -> str:
    """What to say of a project of which nothing is stored: one sentence, whatever was asked."""
    return (
        f"Project {project_id} is not known here: check --project, or connect it with "
        f"`prelabel connect --project {project_id} --backend-url URL`."
    )


class LimitFarOff(PrelabelError):
    """The model's limits leave no room for a call within `wait_s` seconds, and no worker waits so long."""

    def __init__(self, message: str, *, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class BudgetReached(PrelabelError):
    """One more call could cost more than the job's budget has left, and none is in flight that may give some back."""


class ModelError(PrelabelError):
    """A model call failed. `kind` is the class under which it is counted."""

    kind = "model_error"
    stops_job = False  # True: every other task would fail the same way
    heals = False  # True, with `stops_job`: it may be well again without anything changing here
    transient = False  # True: worth asking again after a while
    limited = False  # True: because of a limit or of too much load, so that all workers should call less
    lost = False  # True: the endpoint may have answered, and may charge for it
    retry_after_s: float | None = None  # as the endpoint says it
    limits: RateLimits | None = None  # what the response's headers say

    @property
    def doubtful(self) -> bool:
        """Whether what seems to stop the job may be about this one request: a filter's refusal, a cut connection."""
        return False


class ModelUnreachable(ModelError):
    """No connection to the endpoint, or one that was cut; `lost` is False where nothing was sent."""

    kind = "unreachable"
    stops_job = True
    heals = True
    transient = True
    lost = True

    @property
    def doubtful(self) -> bool:
        return self.lost


class ModelUnauthorized(ModelError):
    """401 or 403."""

    kind = "unauthorized"
    stops_job = True
    heals = True

    @property
    def doubtful(self) -> bool:
        return True


class ModelQuotaExhausted(ModelError):
    """402, or a 429 that says that the account's quota is used up."""

    kind = "quota_exhausted"
    stops_job = True
    heals = True


class ModelRateLimited(ModelError):
    """429."""

    kind = "rate_limited"
    transient = True
    limited = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ModelTimeout(ModelError):
    """No answer within the request timeout."""

    kind = "timeout"
    transient = True
    lost = True


class ModelServerError(ModelError):
    """5xx, or an answer that is not what the API promises."""

    kind = "server_error"
    transient = True
    lost = True


class RefusedAlone(ModelError):
    """One request fails as if all had to, while the endpoint answers others; counted under the class it failed with."""

    def __init__(self, error: ModelError) -> None:
        super().__init__(
            f"The model endpoint answers other questions, and this one is refused or cut off ({error.kind}): "
            "look for a content filter, or a limit on sizes, before the model."
        )
        self.kind = error.kind


class ContextTooLong(ModelError):
    """The prompt does not fit the model's window."""

    kind = "context_too_long"


class ModelTakesNoImages(ModelError):
    """Every control is about an image, and the model refuses or ignores images."""

    kind = "no_images"
    stops_job = True


class BatchNotOffered(ModelError):
    """The endpoint has no batch API."""

    kind = "no_batch_api"
    stops_job = True


class ModelBadRequest(ModelError):
    """A 4xx that asking again would not mend."""

    kind = "bad_request"


class ModelUnknown(ModelBadRequest):
    """404: no such model or route."""

    kind = "unknown_model"
    stops_job = True
    heals = True

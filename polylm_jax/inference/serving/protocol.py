"""What the protocol takes and refuses: bodies of requests, checked field by field, and error objects.

Fields are OpenAI's, and those that other servers have added to it: `top_k`, `repetition_penalty`,
`stream_options.continuous_usage_stats`. What can't be honoured is refused rather than ignored.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from polylm_jax.errors import nearest

MOST_STOPS, LONGEST_STOP = 16, 512
SEED = 2**63


class ApiError(Exception):
    """An answer other than 200: the protocol's error object. param: the field that is wrong."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ):
        super().__init__(message)
        self.status, self.param, self.code = status, param, code
        self.headers = headers or {}

    def body(self) -> dict:
        """{"error": {"message", "type", "param", "code"}}."""
        kinds = {401: "authentication_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "server_error" if self.status >= 500 else None)
        described = {"message": str(self), "type": kind or "invalid_request_error"}
        return {"error": described | {"param": self.param, "code": self.code}}


Text = Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]
Stops = Annotated[list[Text], Field(max_length=MOST_STOPS)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Bias = Annotated[float, Field(ge=-100, le=100)]
Nothing = Annotated[list, Field(max_length=0)]
Ids = list[Annotated[int, Field(ge=0, lt=2**31)]]


class Strict(BaseModel):
    """No coercion, no field that is not known, no NaN.

    A null in a field that is not known asks for nothing: clients dump what they have no value for.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        return {k: v for k, v in fields.items() if v is not None or k in cls.model_fields}


class StreamOptions(Strict):
    """include_usage: a last chunk with the usage; continuous_usage_stats: in every chunk."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None
    include_obfuscation: bool | None = None


class CommonBody(Strict):
    """What both endpoints take. None is the protocol's default."""

    model: Annotated[str, Field(max_length=512)] | None = None
    max_tokens: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, lt=2**31)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=100)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: Annotated[dict[str, Bias], Field(max_length=300)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    seed: Annotated[int, Field(ge=-SEED, lt=SEED)] | None = None
    stop: Text | Stops | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    # Of no consequence here.
    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """Strings that a text ends before."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class Completion(CommonBody):
    """The body of /v1/completions."""

    prompt: str | list[str] | Ids | list[Ids] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    best_of: Annotated[int, Field(ge=1, le=128)] | None = None
    suffix: Literal[""] | None = None


class Part(Strict):
    """A piece of a message's content."""

    type: Literal["text"]
    text: str


class Message(Strict):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]
    name: str | None = None
    refusal: None = None
    # Of an answer that is sent back: nothing was called, nothing was noted.
    tool_calls: Nothing | None = None
    annotations: Nothing | None = None

    @property
    def text(self) -> str:
        """The content as one text."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class ResponseFormat(Strict):
    """Text is the only one."""

    type: Literal["text"]


class Chat(CommonBody):
    """The body of /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=4096)]
    max_completion_tokens: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    tools: Nothing | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None
    modalities: list[Literal["text"]] | None = None


class Tokenize(Strict):
    """The body of /tokenize."""

    prompt: str
    model: str | None = None
    add_special_tokens: bool | None = None


class Detokenize(Strict):
    """The body of /detokenize."""

    tokens: Ids
    model: str | None = None


def parsed(form: type[Strict], fields: object) -> Strict:
    """A body as `form`, or ApiError 400 that names the first field that is wrong."""
    if not isinstance(fields, dict):
        raise ApiError(400, "the body is no JSON object: send one with the request's fields.")
    try:
        return form.model_validate(fields)
    except ValidationError as error:
        raise _refused(form, fields, error) from None


def _refused(form, fields, error: ValidationError) -> ApiError:
    errors = error.errors(include_url=False, include_context=False)
    # Of a union every branch complains: the one that got deepest knows best.
    first = errors[0]["loc"][0] if errors[0]["loc"] else ""
    found = max((e for e in errors if e["loc"][:1] == (first,)), key=lambda e: len(e["loc"]))
    if found["type"] == "extra_forbidden" and len(found["loc"]) == 1:
        hint = nearest(str(first)[:100], form.model_fields)
        return ApiError(
            400, f"{str(first)[:100]!r} is no field of this request.{hint}", param=str(first)[:100],
            code="unknown_parameter",
        )  # fmt: skip
    place = ".".join(str(part)[:100] for part in found["loc"] if not _branch(part))
    value = repr(found["input"]) if found["type"] != "missing" else ""
    value = f" = {value[:80]}{'...' if len(value) > 80 else ''}" if value else ""
    return ApiError(400, f"{place}{value}: {found['msg']}.", param=str(first), code=None)


def _branch(part) -> bool:
    """Whether a part of a place is pydantic's name for a branch of a union."""
    return isinstance(part, str) and (
        "[" in part or part in ("str", "int", "none", "ConstrainedStrValue")
    )

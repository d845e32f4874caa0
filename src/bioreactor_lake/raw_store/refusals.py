"""What an object store, or the way to it, said no to, in the words of the person who must act."""

from __future__ import annotations

from botocore import exceptions

from bioreactor_lake.errors import LakeError
from bioreactor_lake.raw_store.httpfs import is_passing_status

_KEPT = "Every table is as it was."
_UNKNOWN = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidClientTokenId", "AuthFailure")
_EXPIRED = ("ExpiredToken", "TokenRefreshRequired", "RequestExpired")
_ELSEWHERE = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301")
# Answers with the status of a fault of the request that are none.
_BUSY = ("RequestTimeout", "RequestTimeoutException", "Throttling", "ThrottlingException", "SlowDown")
_CREDENTIALS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.ProfileNotFound,
    exceptions.TokenRetrievalError,
    exceptions.SSOError,
)
_CONNECTIONS = (
    exceptions.HTTPClientError,
    exceptions.ConnectionError,
    exceptions.ResponseStreamingError,
    exceptions.IncompleteReadError,
)
_GIVE_THEM = (
    "Give a key and secret in conf/local/credentials.yml under `raw`, or by the AWS chain (AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, AWS_PROFILE, a role)."
)


def explain(error: Exception, place: str, endpoint: str, variable: str = "BIOREACTOR_LAKE_RAW") -> LakeError:
    """The error to raise for one of botocore's.

    Args:
        error: What botocore raised.
        place: URL of the raw files.
        endpoint: URL of the store.
        variable: That says where they are.
    """
    if isinstance(error, exceptions.ClientError):
        return _explain_answer(error, place, endpoint, variable)
    if isinstance(error, _CREDENTIALS):
        return LakeError(
            f"There are no credentials to read {place}: {_sentence(error)}", kept=_KEPT, next_step=_GIVE_THEM
        )
    if isinstance(error, exceptions.SSLError):
        return LakeError(
            f"The object store at {endpoint} cannot be trusted: {_sentence(error)}",
            kept=_KEPT,
            next_step="Name its authority's certificate in AWS_CA_BUNDLE or warehouse.raw.ca_bundle, and the store by "
            "the name that stands in its own.",
        )
    if isinstance(error, _CONNECTIONS):
        return unreachable(endpoint, str(error))
    return LakeError(
        f"{place} cannot be read: {_sentence(error)}",
        kept=_KEPT,
        next_step=f"Correct {variable}, and warehouse.raw in conf/*/globals.yml or the AWS configuration.",
    )


def can_pass(error: BaseException) -> bool:
    """Whether what botocore raised may be gone at the next attempt."""
    if isinstance(error, exceptions.ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return code in _BUSY or is_passing_status(status)
    if isinstance(error, exceptions.SSLError):
        return "CERTIFICATE" not in str(error).upper()
    return isinstance(error, _CONNECTIONS)


def unreachable(endpoint: str, why: str) -> LakeError:
    """The error for a store that does not answer, or stopped in the middle."""
    return LakeError(
        f"The object store at {endpoint} cannot be reached: {_sentence(why)}",
        kept=_KEPT,
        next_step="Check the network and the endpoint (warehouse.raw.endpoint_url in conf/*/globals.yml, or "
        "AWS_ENDPOINT_URL), then run again: it goes on where it stopped.",
    )


def _explain_answer(error: exceptions.ClientError, place: str, endpoint: str, variable: str) -> LakeError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    bucket = place.removeprefix("s3://").partition("/")[0]
    if code in _EXPIRED:
        return LakeError(f"The credentials for {place} have expired ({code}).", kept=_KEPT, next_step="Renew them.")
    if code in _UNKNOWN:
        return LakeError(
            f"{endpoint} does not know the credentials that {place} was asked for with ({code}).",
            kept=_KEPT,
            next_step=_GIVE_THEM,
        )
    if status == 403:
        return LakeError(
            f"{endpoint} refuses to list or read {place} with these credentials ({code}).",
            kept=_KEPT,
            next_step="Check them, and grant them s3:ListBucket on the bucket and s3:GetObject on its objects.",
        )
    if code == "NoSuchBucket" or status == 404:
        return LakeError(
            f"There is no bucket {bucket} at {endpoint}.",
            kept=_KEPT,
            next_step=f"Correct {variable} or the endpoint, or make the bucket.",
        )
    if code in _ELSEWHERE or status == 301:
        return LakeError(
            f"The bucket {bucket} is in another region than the one it was asked for in ({code}).",
            kept=_KEPT,
            next_step="Set warehouse.raw.region in conf/*/globals.yml, or AWS_REGION.",
        )
    return LakeError(
        f"The object store at {endpoint} failed: {_sentence(error)}",
        kept=_KEPT,
        next_step="Run again; if it stays, ask its keeper.",
    )


def _sentence(error: Exception | str) -> str:
    return str(error).rstrip(".") + "."
